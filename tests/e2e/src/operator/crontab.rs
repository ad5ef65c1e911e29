//! Schedules: crontabs with five fields, or six with seconds in front; in UTC.

use anyhow::{Context, bail, ensure};
use jiff::civil::DateTime;

/// Seconds, minutes, hours, days of month, months, days of week: least and greatest number of each.
const RANGES: [(u8, u8); 6] = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];

/// A crontab: the numbers of each field at which it fires, one bit each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Crontab([u64; 6]);

impl Crontab {
    /// Numbers, ranges, steps and lists; no names and no `@hourly`.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() == 5 {
            fields.insert(0, "0");
        }
        ensure!(fields.len() == 6, "crontab {text:?} has neither 5 nor 6 fields");
        let mut bits = [0; 6];
        for ((field, range), bits) in fields.iter().zip(RANGES).zip(&mut bits) {
            for part in field.split(',') {
                *bits |= numbers(part, range).with_context(|| format!("crontab {text:?}"))?;
            }
        }
        Ok(Self(bits))
    }

    /// Whether it fires in the second that begins at `time`.
    pub(super) fn fires_at(&self, time: DateTime) -> bool {
        let numbers = [
            time.second(),
            time.minute(),
            time.hour(),
            time.day(),
            time.month(),
            time.weekday().to_sunday_zero_offset(),
        ];
        self.0.iter().zip(numbers).all(|(bits, number)| bits & (1 << number) != 0)
    }
}

fn numbers(part: &str, (least, greatest): (u8, u8)) -> anyhow::Result<u64> {
    let (range, step) = part.split_once('/').unwrap_or((part, "1"));
    let (from, to) = match range.split_once('-') {
        _ if range == "*" || range == "?" => (least, greatest),
        Some((from, to)) => (from.parse()?, to.parse()?),
        None if part.contains('/') => (range.parse()?, greatest),
        None => (range.parse()?, range.parse()?),
    };
    let step: usize = step.parse()?;
    if from < least || to > greatest || from > to || step == 0 {
        bail!("{part:?} is not within {least} to {greatest}");
    }
    Ok((from..=to).step_by(step).fold(0, |bits, number| bits | 1 << number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_when_all_fields_fit() {
        let fires = |crontab: &str, time: &str| Crontab::parse(crontab).unwrap().fires_at(time.parse().unwrap());
        assert!(fires("*/15 * * * * *", "2026-11-28T10:11:45"));
        assert!(!fires("*/15 * * * * *", "2026-11-28T10:11:46"));
        assert!(fires("5-10/5 0,12 * * 6", "2026-11-28T12:10:00"));
        assert!(!fires("5-10/5 0,12 * * 6", "2026-11-28T12:10:01"), "five fields fire at second 0");
        assert!(!fires("5-10/5 0,12 * * 0-5", "2026-11-28T12:10:00"));
    }

    #[test]
    fn invalid_crontabs_are_refused() {
        for bad in ["* * *", "60 * * * * *", "*/0 * * * * *", "@hourly", "a * * * * *", "5-1 * * * * *"] {
            assert!(Crontab::parse(bad).is_err(), "{bad}");
        }
    }
}
