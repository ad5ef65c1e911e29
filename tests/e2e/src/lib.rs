//! The harness: brings real components up and down, waits on conditions, and leaves logs behind on failure.
