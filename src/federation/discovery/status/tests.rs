//! What answers make of a status: by example in `answers`, for any sequence of answers in `properties`.

mod answers;
mod play;
mod properties;
