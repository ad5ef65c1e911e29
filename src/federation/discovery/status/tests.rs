//! The status after answers: examples in `answers`, any sequence of answers in `properties`.

mod answers;
mod play;
mod properties;
