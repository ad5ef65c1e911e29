//! The steps that every hook has: `config`, `read`, `fetch` (discovery alone), `decide`, `emit`; `run` chains them.

use std::error::Error;
use std::fmt;

/// Why a step failed.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// An error and the step that failed.
#[derive(Debug)]
struct StepError {
    step: &'static str,
    cause: Failure,
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.step)
    }
}

impl Error for StepError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause.as_ref())
    }
}

/// Names the step of an error.
pub(crate) trait In<T> {
    /// The error reads `step: cause`.
    fn within(self, step: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> In<T> for Result<T, E> {
    fn within(self, step: &'static str) -> Result<T, Failure> {
        self.map_err(|cause| StepError { step, cause: cause.into() }.into())
    }
}
