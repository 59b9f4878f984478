//! GSSAPI's credential store: where keys and tickets are, said per call instead of by environment variables.

use std::{ffi::CStr, ffi::CString, path::Path};

use libgssapi_sys::{gss_key_value_element_desc, gss_key_value_set_desc};

use super::error::GssError;

/// Keys and values for one call.
#[derive(Default)]
pub(super) struct Store {
    values: Vec<(&'static CStr, CString)>,
    elements: Vec<gss_key_value_element_desc>,
}

impl Store {
    /// With one more entry.
    pub(super) fn with(mut self, key: &'static CStr, value: &CStr) -> Self {
        self.values.push((key, value.to_owned()));
        self
    }

    /// With one more entry: a file, after the kind that libkrb5 expects before it.
    pub(super) fn with_file(self, key: &'static CStr, kind: &str, path: &Path) -> Result<Self, GssError> {
        let mut value = kind.as_bytes().to_vec();
        value.extend_from_slice(path.as_os_str().as_encoded_bytes());
        let value = CString::new(value).map_err(|_| GssError::BadName {
            name: path.display().to_string(),
            cause: "a path holds no NUL",
        })?;
        Ok(self.with(key, &value))
    }

    /// The set as GSSAPI takes it; it borrows from `self`.
    pub(super) fn set(&mut self) -> gss_key_value_set_desc {
        self.elements = self
            .values
            .iter()
            .map(|(key, value)| gss_key_value_element_desc { key: key.as_ptr(), value: value.as_ptr() })
            .collect();
        // At most four entries are ever added.
        let count = u32::try_from(self.elements.len()).unwrap_or(0);
        gss_key_value_set_desc { count, elements: self.elements.as_mut_ptr() }
    }
}
