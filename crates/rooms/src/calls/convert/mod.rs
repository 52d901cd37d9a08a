//! Between the messages of `proto/sluice/calls/v1` and the model's types. What comes in is checked here, field by field;
//! what goes out cannot fail.
pub(crate) mod check;
pub(crate) mod enums;
pub(crate) mod event;
pub(crate) mod limits;
pub(crate) mod model;
pub(crate) mod status;
