//! The checks of a program scenario and their results.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::contender::{POLL, System};
use crate::faults::row::Figure;

/// Whether the observed state is the expected one, and a description of it.
pub(super) type Observation = (bool, String);

#[derive(Debug, Clone, Serialize)]
pub(super) struct Check {
    #[serde(rename = "what")]
    claim: String,
    held: bool,
    /// The observed state.
    #[serde(rename = "seen")]
    observed: String,
}

/// The checks of one run of a scenario.
#[derive(Debug, Clone, Serialize)]
pub(in crate::faults) struct Verdict {
    pub(in crate::faults) scenario: &'static str,
    pub(in crate::faults) variant: &'static str,
    system: System,
    checks: Vec<Check>,
    figures: Vec<Figure>,
}

impl Verdict {
    pub(in crate::faults) fn new(scenario: &'static str, variant: &'static str) -> Self {
        let (checks, figures) = (Vec::new(), Vec::new());
        Self { scenario, variant, system: System::Mailmesh, checks, figures }
    }

    pub(super) fn check(
        &mut self,
        claim: impl Into<String>,
        held: bool,
        observed: impl Into<String>,
    ) {
        self.checks.push(Check { claim: claim.into(), held, observed: observed.into() });
    }

    /// Observes until the claim holds, at most for `within`. An error of `observe`, as for a node
    /// that has ended, counts as not held.
    pub(super) fn eventually(
        &mut self,
        claim: impl Into<String>,
        within: Duration,
        mut observe: impl FnMut() -> Result<Observation, String>,
    ) -> bool {
        let begin = Instant::now();
        loop {
            let (held, observed) = observe().unwrap_or_else(|error| (false, error));
            let took = begin.elapsed();
            if held || took >= within {
                let after = format!("after {:.1} s: {observed}", took.as_secs_f64());
                self.check(claim, held, after);
                return held;
            }
            std::thread::sleep(POLL);
        }
    }

    pub(super) fn figure(
        &mut self,
        claim: impl Into<String>,
        value: impl Into<Option<f64>>,
        unit: &'static str,
    ) {
        self.figures.push(Figure::new(claim, value, unit));
    }

    /// Whether a check failed. A run without checks proves nothing and is broken too.
    pub(in crate::faults) fn is_broken(&self) -> bool {
        self.checks.is_empty() || self.checks.iter().any(|check| !check.held)
    }

    pub(in crate::faults) fn print(&self) {
        let held = self.checks.iter().filter(|check| check.held).count();
        let name = format!("{} {}", self.scenario, self.variant);
        println!("{:<20}{} of {} checks held", name.trim_end(), held, self.checks.len());
        for Check { claim, held, observed } in &self.checks {
            let mark = if *held { "held  " } else { "BROKEN" };
            println!("{:<20}{mark} {claim}", "");
            if !observed.is_empty() {
                println!("{:<27}{}", "", observed.trim_end().replace('\n', "; "));
            }
        }
        Figure::print_all(&self.figures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_breaks_a_verdict_and_so_does_the_lack_of_checks() {
        let mut verdict = Verdict::new("still", "10 s");
        assert!(verdict.is_broken());
        verdict.check("one", true, "");
        assert!(!verdict.is_broken());
        verdict.check("two", false, "rain");
        assert!(verdict.is_broken());
    }

    #[test]
    fn a_late_claim_holds_and_a_false_or_unobservable_one_does_not() {
        let mut verdict = Verdict::new("still", "");
        let mut looks = 0;
        let second = Duration::from_secs(10);
        assert!(verdict.eventually("late", second, || {
            looks += 1;
            if looks == 1 { Err("no node".to_owned()) } else { Ok((looks == 3, looks.to_string())) }
        }));
        assert!(!verdict.eventually("never", Duration::ZERO, || Ok((false, "rain".to_owned()))));
        assert!(!verdict.eventually("unseen", Duration::ZERO, || Err("no node".to_owned())));
        let observed = |check: usize| verdict.checks[check].observed.split_once(": ").map(|s| s.1);
        assert_eq!(
            [observed(0), observed(1), observed(2)],
            [Some("3"), Some("rain"), Some("no node")]
        );
    }

    #[test]
    fn a_verdict_begins_with_the_json_fields_of_a_row() {
        let text = serde_json::to_string(&Verdict::new("lives", "")).unwrap();
        let start =
            "{\"scenario\":\"lives\",\"variant\":\"\",\"system\":\"mailmesh\",\"checks\":[]";
        assert!(text.starts_with(start), "{text}");
    }
}
