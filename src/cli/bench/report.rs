//! Samples, medians, a table and JSON.

use std::{fmt, fs, io, path::Path};

use serde::Serialize;

use super::machine::Machine;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Machine,
    measures: Vec<Measure>,
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measure {
    name: String,
    unit: &'static str,
    median: f64,
    min: f64,
    max: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_min: Option<f64>,
    samples: Vec<f64>,
}

impl Measure {
    pub(super) fn new(name: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Self {
        let (min, max) =
            samples.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), s| (min.min(*s), max.max(*s)));
        Self {
            name: name.into(),
            unit,
            median: median(&samples),
            min,
            max,
            target_max: None,
            target_min: None,
            samples,
        }
    }

    /// What we hold ourselves to.
    pub(super) fn at_most(mut self, target: f64) -> Self {
        self.target_max = Some(target);
        self
    }

    /// The same for what should be large.
    pub(super) fn at_least(mut self, target: f64) -> Self {
        self.target_min = Some(target);
        self
    }

    fn holds(&self) -> bool {
        self.target_max.is_none_or(|target| self.median <= target)
            && self.target_min.is_none_or(|target| self.median >= target)
    }
}

/// The middle; of an even count the mean of both.
pub(super) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

impl Report {
    pub(super) const fn new(machine: Machine) -> Self {
        Self { machine, measures: Vec::new() }
    }

    /// Adds a figure, and says how far things are: a whole run takes minutes.
    pub(super) fn add(&mut self, measure: Measure) {
        eprintln!("measured: {}", measure.name);
        self.measures.push(measure);
    }

    /// Whether every target is met.
    pub(super) fn holds(&self) -> bool {
        self.measures.iter().all(Measure::holds)
    }

    pub(super) fn write_json(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, serde_json::to_string_pretty(self)?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, memory_gib, kernel, load, version, build, .. } = &self.machine;
        writeln!(f, "\ncobuild {version} ({build}) on {cores} cores of {cpu}, {memory_gib} GiB, Linux {kernel}")?;
        writeln!(f, "load before: {load:.2}\n")?;
        for measure in &self.measures {
            writeln!(f, "{measure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unit, median, min, max, samples, .. } = self;
        let figure = |value: f64| match value.abs() {
            size if size >= 1000.0 => format!("{value:.0}"),
            size if size >= 10.0 => format!("{value:.1}"),
            _ => format!("{value:.2}"),
        };
        let range = format!("{} – {} in {}", figure(*min), figure(*max), samples.len());
        write!(f, "{name:<58} {:>9} {unit:<10} ({range})", figure(*median))?;
        match self.target_max.or(self.target_min) {
            Some(target) => write!(f, "  target {target} {}", if self.holds() { "✓" } else { "✗ MISSED" }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (samples, expected) in [(vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 2.0, 3.0], 2.5)] {
            assert!((median(&samples) - expected).abs() < 1e-9, "{samples:?}");
        }
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_target_is_missed_by_the_median_alone() {
        let measure = Measure::new("x", "ms", vec![1.0, 2.0, 90.0]);
        assert!(measure.clone().at_most(2.0).holds());
        assert!(!measure.at_most(1.9).holds());
        assert!(!Measure::new("nothing measured", "ms", vec![]).at_most(1.0).holds());
        let speed = Measure::new("x", "MB/s", vec![1.0, 2.0, 90.0]);
        assert!(speed.clone().at_least(2.0).holds() && !speed.at_least(2.1).holds());
    }
}
