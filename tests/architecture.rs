//! The folder tree is the architecture: who may use whom, and which crates stay behind which door.
#![expect(clippy::expect_used, reason = "a test that can't read its sources must fail")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The last column of the map in `src/lib.rs`: each module and the modules it may name.
const MAP: &[(&str, &[&str])] = &[
    ("gssapi", &[]),
    ("ntlm", &[]),
    ("wsman", &[]),
    ("listener", &[]),
    ("policy", &["authn", "wsman"]),
    ("authn", &["listener", "wsman", "gssapi", "ntlm"]),
    ("audit", &["authn", "policy", "wsman"]),
    ("credential", &["authn", "policy", "gssapi", "ntlm"]),
    ("backend", &["authn", "policy", "credential", "audit", "wsman", "gssapi", "ntlm"]),
    ("telemetry", &["authn", "policy", "wsman", "gssapi", "listener", "audit", "credential", "backend"]),
    (
        "config",
        &["authn", "policy", "wsman", "gssapi", "listener", "audit", "credential", "backend", "telemetry"],
    ),
    (
        "diagnose",
        &["config", "authn", "policy", "wsman", "gssapi", "listener", "audit", "credential", "backend"],
    ),
];

/// Crates that only the named modules may use.
const DOORS: &[(&str, &[&str])] = &[
    ("libgssapi_sys", &["gssapi"]),
    ("md4", &["ntlm"]),
    ("rc4", &["ntlm"]),
    ("quick_xml", &["wsman"]),
    ("pingora_core", &["listener", "backend", "telemetry", "gateway"]),
    ("pingora_http", &["listener", "backend", "telemetry", "gateway"]),
    ("pingora_limits", &["listener", "backend", "telemetry", "gateway"]),
    ("serde_saphyr", &["config"]),
    ("prometheus", &["telemetry"]),
    ("anyhow", &["main"]),
    ("clap", &["main"]),
];

struct Source {
    module: String,
    path: PathBuf,
    text: String,
}

/// Every source file, without its comments and without what is compiled for tests only.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the sources can be listed") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
                let text = fs::read_to_string(&path).expect("a source can be read");
                let relative = path.strip_prefix(&root).expect("below src");
                let first = relative.components().next().expect("a name");
                let module = first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
                found.push(Source { module, path: path.clone(), text: product_code(&text) });
            }
        }
    }
    assert!(found.len() > 20, "only {} sources were found", found.len());
    found
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| {
        matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs" | "testing.rs" | "testing"))
    })
}

fn product_code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    before_tests.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules of this crate that `text` names through `crate::`.
fn named_modules(text: &str, modules: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = text.get(at + "crate::".len()..).unwrap_or_default();
        let group = rest.strip_prefix('{').map(group_of);
        for item in group.unwrap_or_else(|| vec![rest.to_owned()]) {
            let name: String =
                item.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if modules.contains(name.as_str()) {
                named.insert(name);
            }
        }
    }
    named
}

/// The items of a `{…}` group, cut at its own commas.
fn group_of(text: &str) -> Vec<String> {
    let (mut depth, mut items) = (0_usize, vec![String::new()]);
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().expect("never empty").push(c);
    }
    items
}

#[test]
fn no_module_uses_one_that_the_map_does_not_give_it() {
    let map: BTreeMap<&str, &[&str]> = MAP.iter().copied().collect();
    let modules: BTreeSet<&str> = map.keys().copied().collect();
    for source in sources() {
        let free = matches!(source.module.as_str(), "main" | "lib" | "gateway");
        assert!(
            free || map.contains_key(source.module.as_str()),
            "{} is not on the map",
            source.path.display()
        );
        for named in named_modules(&source.text, &modules) {
            let allowed = free
                || named == source.module
                || map.get(source.module.as_str()).is_some_and(|uses| uses.contains(&named.as_str()));
            assert!(allowed, "{} uses `{named}`, which the map does not give it", source.path.display());
        }
    }
}

#[test]
fn foreign_crates_stay_behind_their_doors() {
    for source in sources() {
        for (name, doors) in DOORS {
            let used =
                source.text.contains(&format!("{name}::")) || source.text.contains(&format!("use {name}"));
            assert!(
                !used || doors.contains(&source.module.as_str()),
                "{} uses {name}, whose place is {doors:?}",
                source.path.display()
            );
        }
    }
}

#[test]
fn unsafe_code_stands_in_gssapi_only() {
    for source in sources() {
        let used = source.text.contains("unsafe {") || source.text.contains("unsafe_code");
        assert!(!used || source.module == "gssapi", "{} holds unsafe code", source.path.display());
    }
}

#[test]
fn the_map_in_lib_rs_names_every_module_and_nothing_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = fs::read_to_string(root.join("lib.rs")).expect("lib.rs can be read");
    for (module, _) in MAP {
        assert!(root.join(module).join("mod.rs").is_file(), "{module} is on the map and not in src");
        assert!(lib.contains(&format!("//! ├── {module}/")), "the picture in lib.rs lacks {module}/");
    }
    for entry in fs::read_dir(&root).expect("src can be listed") {
        let name = entry.expect("an entry can be read").file_name().to_string_lossy().into_owned();
        let known = matches!(name.as_str(), "main.rs" | "lib.rs" | "gateway.rs" | "gateway")
            || MAP.iter().any(|(module, _)| *module == name);
        assert!(known, "src/{name} is not on the map");
    }
}

#[test]
fn files_stay_short_enough_to_read() {
    for source in sources() {
        let lines = source.text.lines().count();
        assert!(lines <= 400, "{} has {lines} lines: split it", source.path.display());
    }
}

#[test]
fn an_import_group_is_read_as_the_compiler_reads_it() {
    let modules = BTreeSet::from(["audit", "policy", "wsman"]);
    let named = |text| named_modules(text, &modules).into_iter().collect::<Vec<_>>();
    assert_eq!(
        named("use crate::{\n    audit::Recorded,\n    policy::{Route, wsman_like::X},\n};"),
        ["audit", "policy"]
    );
    assert_eq!(named("fn f(x: crate::wsman::Envelope)"), ["wsman"]);
    assert_eq!(named("use crate::auditor::X;"), Vec::<String>::new());
}
