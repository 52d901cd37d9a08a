//! A setting that the calls service cannot start with.

/// A setting is unusable; the text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("calls.{field}: {text}")]
pub struct Unusable {
    /// Its path below `calls`.
    pub field: String,
    /// What is wrong, and what to do.
    pub text: String,
}

impl Unusable {
    pub(crate) fn new(field: impl Into<String>, text: impl Into<String>) -> Self {
        Self { field: field.into(), text: text.into() }
    }
}
