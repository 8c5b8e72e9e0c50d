//! Does a team go round in circles that divides its work anew? Rounds that bring nothing, and plans that give again what failed.
//!
//! Whoever divides the work is told of it before it makes the next plan, and when a plan gives the same again; what comes after
//! that ends the rounds.

use super::words::{folded, similarity};
use crate::{graph::Watch, value::Role};

/// A sub-task that was given to somebody, or is to be.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// To whom.
    pub agent: &'a Role,
    /// What, in words.
    pub task: &'a str,
}

/// What a plan gives again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// Whether there is nothing else in it.
    pub all: bool,
    /// What is told of it, as a sentence without a full stop.
    pub what: String,
}

/// How many of the last rounds brought nothing, and what is told of them, if they are as many as it takes.
pub fn fruitless(watch: &Watch, news: &[bool]) -> Option<(u32, String)> {
    let run = u32::try_from(news.iter().rev().take_while(|new| !**new).count()).unwrap_or(u32::MAX);
    if run == 0 || run < watch.times {
        return None;
    }
    let rounds =
        if run == 1 { "the last round of delegation".to_owned() } else { format!("the last {run} rounds of delegation") };
    Some((run, format!("{rounds} brought no new finding and no sub-task that is done")))
}

/// What of a plan was given to the same agents before, in the same or nearly the same words, and failed.
pub fn repeated(watch: &Watch, failed: &[Given<'_>], plan: &[Given<'_>]) -> Option<Repeated> {
    let failed: Vec<(&Role, String)> = failed.iter().map(|given| (given.agent, folded(given.task, true))).collect();
    let again = |given: &&Given<'_>| {
        let task = folded(given.task, true);
        failed.iter().any(|(agent, words)| *agent == given.agent && similarity(words, &task) >= watch.similarity)
    };
    let again: Vec<&Given<'_>> = plan.iter().filter(again).collect();
    let first = again.first()?;
    let words: String = first.task.chars().take(80).collect();
    let what = format!(
        "the new plan gives to {} again what has failed before (\"{}\")",
        first.agent,
        words.lines().next().unwrap_or_default()
    );
    Some(Repeated { all: again.len() == plan.len(), what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Detector;

    fn watch() -> Watch {
        Detector::LoopingLedger.default_bounds()
    }

    #[test]
    fn rounds_that_bring_nothing_are_counted_from_the_last() {
        let run = |news: &[bool]| fruitless(&watch(), news).map(|(run, _)| run);
        assert_eq!((run(&[]), run(&[true]), run(&[false, true])), (None, None, None));
        assert_eq!((run(&[true, false]), run(&[false, false])), (Some(1), Some(2)));
        assert_eq!(fruitless(&Watch { times: 2, ..watch() }, &[true, false]), None);
    }

    #[test]
    fn the_same_agent_with_nearly_the_same_words_is_no_other_plan() {
        let (ann, bob) = (Role::new("ann"), Role::new("bob"));
        let given = |agent, task| Given { agent, task };
        let failed = [given(&ann, "Read the log of the payment service and find the first error, attempt 1")];
        let check = |plan: &[Given<'_>]| repeated(&watch(), &failed, plan).map(|again| again.all);
        let same = given(&ann, "Read the log of the payment service, and find the first error; attempt 2!");
        assert_eq!(check(&[same]), Some(true));
        assert_eq!(check(&[same, given(&bob, "Look at the metrics")]), Some(false));
        assert_eq!(check(&[given(&bob, same.task)]), None, "somebody else may do better");
        assert_eq!(check(&[given(&ann, "Ask the database for its slow queries")]), None);
        assert_eq!(check(&[]), None);
    }
}
