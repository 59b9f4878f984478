//! Whether the records are what `config/audit-record.schema.json` says.

use std::collections::BTreeSet;

use super::{proof::Log, *};

/// What of JSON Schema the file uses; anything else is an error.
fn validate(schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        let right = match keyword.as_str() {
            "$schema" | "$id" | "title" | "description" | "if" | "then" => true,
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "boolean" => value.is_boolean(),
                other => panic!("type {other}"),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minLength" => value.as_str().unwrap().chars().count() as u64 >= rule.as_u64().unwrap(),
            "maxLength" => value.as_str().unwrap().chars().count() as u64 <= rule.as_u64().unwrap(),
            "required" => {
                rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    value
                        .get(name)
                        .map_or(Ok(()), |value| validate(schema, value))
                        .map_err(|why| format!("{name}: {why}"))?;
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let mut others = value
                    .as_object()
                    .unwrap()
                    .iter()
                    .filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
                others.all(|(_, value)| rule.is_object() && validate(rule, value).is_ok())
            }
            "allOf" => {
                for part in rule.as_array().unwrap() {
                    validate(part, value)?;
                }
                true
            }
            other => panic!("keyword {other}"),
        };
        if !right {
            return Err(format!("{keyword} {rule} does not hold"));
        }
    }
    match (schema.get("if"), schema.get("then")) {
        (Some(condition), Some(then)) if validate(condition, value).is_ok() => validate(then, value),
        _ => Ok(()),
    }
}

fn full(facts: &mut Facts) {
    let text = || Some("x".to_owned());
    *facts = Facts {
        listener: Some("fleet".into()),
        client: Some("192.0.2.7:4711".to_owned()),
        method: Some("certificate"),
        principal: text(),
        evidence: text(),
        route: Some("web".into()),
        rule: Some("nightly".into()),
        host: text(),
        identity_there: text(),
        credential: Some("s4u"),
        spn: text(),
        operation: Some("Command"),
        action: text(),
        class: Some("execute"),
        resource_uri: text(),
        shell_id: text(),
        command_id: text(),
        message_id: text(),
        request_bytes: Some(1),
    };
}

/// Records of every kind, with every field.
async fn everything(log: &Log) -> Vec<Value> {
    let mut settings = log.settings();
    settings.keeping.keep = Some(Duration::from_secs(86_400));
    settings.max_pending = 4;
    for start in 0..2 {
        let audit = Audit::open(&settings).unwrap();
        audit.configured("00", "{}").unwrap();
        audit.flush().await.unwrap();
        audit.connection_failed(&ConnectionFailure {
            listener: Some("fleet".into()),
            client: Some("192.0.2.7:4711".parse().unwrap()),
            reason: "tls_handshake",
            detail: "x".to_owned(),
        });
        for _ in 0..20 {
            let mut pending = audit.begin();
            full(pending.facts());
            audit.intend(pending, BeforeRun::Durable).await.unwrap().finish(&Outcome {
                result: Ending::Failed,
                stage: "backend",
                reason: "lost",
                blame: Some(Blame::Backend),
                status: Some(500),
                fault_code: Some(1),
                text: Some("x".to_owned()),
                response_bytes: Some(1),
                exit_code: Some(-1),
                durations: vec![("backend", Duration::from_micros(1))],
            });
        }
        // More at once than there is room for.
        let mut held = Vec::new();
        while audit.stats().lost == 0 {
            held.push(audit.intend(audit.begin(), BeforeRun::BestEffort).await.unwrap());
        }
        for recorded in held {
            audit.flush().await.unwrap();
            drop(recorded);
        }
        audit.close().await.unwrap();
        if start == 0 {
            let current = log.at("audit/audit.jsonl");
            io::Write::write_all(&mut std::fs::File::options().append(true).open(current).unwrap(), b"{torn")
                .unwrap();
            let first = &files::list(&log.at("audit")).unwrap()[0];
            let first = std::fs::File::options().append(true).open(&first.path).unwrap();
            first.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
            sign::generate(&log.at("next.key"), Some(&log.at("audit.key"))).unwrap();
            settings.keeping.signing_key = Some(log.at("next.key"));
        }
    }
    let mut records = Records::open(&log.at("audit")).unwrap();
    std::iter::from_fn(|| records.next().unwrap()).map(|entry| entry.record).collect()
}

#[tokio::test]
async fn every_record_is_as_the_schema_says_and_the_schema_says_nothing_else() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/audit-record.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let log = Log::new();
    let mut seen = BTreeSet::new();
    for record in everything(&log).await {
        validate(&schema, &record).unwrap_or_else(|why| panic!("{why}: {record}"));
        seen.insert(record["event.action"].as_str().unwrap().to_owned());
        seen.extend(record.as_object().unwrap().keys().cloned());
        let mut other = record.clone();
        other["surprise"] = true.into();
        validate(&schema, &other).unwrap_err();
    }
    let names = schema["properties"].as_object().unwrap().keys().cloned();
    let kinds = schema["properties"]["event.action"]["enum"].as_array().unwrap().iter();
    let kinds = kinds.map(|kind| kind.as_str().unwrap().to_owned());
    let missing: Vec<String> = names.chain(kinds).filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "no record shows {missing:?}");
}
