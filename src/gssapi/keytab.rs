//! A look into a keytab before GSSAPI gets it: whatever is wrong with one, GSSAPI says "no credentials cache found".

use std::{fs, path::Path};

use super::error::GssError;

/// Larger ones are not keytabs.
const MAX_BYTES: u64 = 16 << 20;

/// Whether the keytab can be read and holds a key, of `principal` where one is given.
///
/// # Errors
/// [`GssError::KeytabUnreadable`] or [`GssError::NotInKeytab`].
pub(crate) fn check(path: &Path, principal: Option<&str>) -> Result<(), GssError> {
    let unreadable = |cause: String| GssError::KeytabUnreadable { path: path.to_owned(), cause };
    let length = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if length > MAX_BYTES {
        return Err(unreadable("it is too large to be a keytab".to_owned()));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let held = principals(&bytes).ok_or_else(|| unreadable("it is not a keytab of version 2".to_owned()))?;
    if held.is_empty() {
        return Err(unreadable("it holds no key".to_owned()));
    }
    match principal {
        Some(wanted) if !held.iter().any(|one| one == wanted) => {
            Err(GssError::NotInKeytab { path: path.to_owned(), principal: wanted.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The principals whose keys a keytab holds, each once.
///
/// # Errors
/// As [`check`].
pub(crate) fn held(path: &Path) -> Result<Vec<String>, GssError> {
    check(path, None)?;
    let bytes = fs::read(path)
        .map_err(|error| GssError::KeytabUnreadable { path: path.to_owned(), cause: error.to_string() })?;
    let mut held = principals(&bytes).unwrap_or_default();
    held.sort();
    held.dedup();
    Ok(held)
}

/// The principals of a keytab (MIT's file format, version 2); none if it is not one.
fn principals(bytes: &[u8]) -> Option<Vec<String>> {
    let mut rest = bytes.strip_prefix(&[5, 2])?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
        if length == 0 {
            break;
        }
        let mut entry = take(&mut rest, usize::try_from(length.unsigned_abs()).ok()?)?;
        // A negative length marks a hole that a deleted entry left.
        if length > 0 {
            found.push(principal(&mut entry)?);
        }
    }
    Some(found)
}

fn principal(entry: &mut &[u8]) -> Option<String> {
    let components = u16::from_be_bytes(take(entry, 2)?.try_into().ok()?);
    let realm = text(entry)?;
    let mut parts = Vec::new();
    for _ in 0..components {
        parts.push(text(entry)?);
    }
    Some(format!("{}@{realm}", parts.join("/")))
}

fn text<'a>(entry: &mut &'a [u8]) -> Option<&'a str> {
    let length = u16::from_be_bytes(take(entry, 2)?.try_into().ok()?);
    std::str::from_utf8(take(entry, usize::from(length))?).ok()
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::principals;

    #[test]
    fn no_prefix_of_a_keytab_is_taken_for_a_whole_one_or_panics() {
        let mut whole = vec![5, 2];
        let mut entry = vec![0, 1, 0, 1, b'R', 0, 1, b'a'];
        entry.extend([0; 12]);
        whole.extend(u32::try_from(entry.len()).expect("short").to_be_bytes());
        whole.extend(&entry);
        assert_eq!(principals(&whole), Some(vec!["a@R".to_owned()]));
        for end in 0..whole.len() {
            let read = principals(&whole[..end]);
            assert!(read.as_ref().is_none_or(Vec::is_empty), "{end}: {read:?}");
        }
    }
}
