//! What the leader has to do about a receipt: pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    clock::{later, to_the_second},
    cluster::Snapshot,
    model::{NodeMaintenance, Receipt, ReceiptResult},
};

/// A receipt is kept for so long after the end of its maintenance; one of which nothing came, after its request.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// What the leader has to do about a receipt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Duty {
    /// To note what came of the request: whoever took it did not get so far.
    Note(Box<ReceiptResult>),
    /// To note that its maintenance has ended, once the API server has confirmed that it is gone.
    End(Box<ReceiptResult>),
    /// To keep it; then, if that is known, to look again.
    Keep(Option<Timestamp>),
    /// To forget it.
    Forget,
}

/// What the leader has to do about that receipt. `last_seen` is its maintenance as it was seen before it went.
pub(crate) fn duty(
    receipt: &Receipt,
    last_seen: Option<&NodeMaintenance>,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Duty {
    let keep_until = |time| {
        let until = later(time, KEPT_FOR);
        if until <= now { Duty::Forget } else { Duty::Keep(Some(until)) }
    };
    let found = snapshot.maintenance(&receipt.request.maintenance).filter(|found| receipt.is_for(found));
    let Some(result) = &receipt.result else {
        return match found.map(AsRef::as_ref).or(last_seen) {
            Some(maintenance) => Duty::Note(Box::new(ReceiptResult::of(maintenance))),
            None => keep_until(receipt.request.created_at),
        };
    };
    if let Some(ended_at) = result.ended_at {
        return keep_until(ended_at);
    }
    let is_it = |other: &NodeMaintenance| other.metadata.uid == result.maintenance.metadata.uid;
    if found.is_some_and(|found| is_it(found)) {
        return Duty::Keep(None);
    }
    let last = last_seen.filter(|last| is_it(last)).unwrap_or(&result.maintenance);
    Duty::End(Box::new(ReceiptResult { ended_at: Some(to_the_second(now)), ..ReceiptResult::of(last) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            ReceiptRequest, Uid,
            testing::{at, maintenance},
        },
        names::RECEIPT_ANNOTATION,
    };

    const DAY: i64 = 24 * 3600;

    fn receipt(result: Option<ReceiptResult>) -> Receipt {
        Receipt {
            name: "receipt-a".to_owned(),
            uid: Uid::default(),
            resource_version: String::new(),
            request: ReceiptRequest {
                hash: "h".to_owned(),
                caller: "ann".to_owned(),
                maintenance: "m".to_owned(),
                created_at: at(0),
            },
            result,
        }
    }

    fn made_for_it() -> NodeMaintenance {
        let mut object = maintenance("m", "node02");
        object.metadata.annotations = Some([(RECEIPT_ANNOTATION.to_owned(), "receipt-a".to_owned())].into());
        object
    }

    fn with(object: &NodeMaintenance) -> Snapshot {
        Snapshot::default().with(object.clone())
    }

    #[test]
    fn what_came_of_a_request_is_noted_by_whoever_leads_if_nobody_else_has() {
        let open = receipt(None);
        let noted = Duty::Note(Box::new(ReceiptResult::of(&made_for_it())));
        assert_eq!(duty(&open, None, &with(&made_for_it()), at(1)), noted);
        assert_eq!(duty(&open, Some(&made_for_it()), &Snapshot::default(), at(1)), noted, "it went at once");
        let anothers = with(&maintenance("m", "node02"));
        assert_eq!(duty(&open, None, &anothers, at(1)), Duty::Keep(Some(at(DAY))));
        assert_eq!(duty(&open, None, &anothers, at(DAY)), Duty::Forget, "nothing came of it");
    }

    #[test]
    fn it_is_kept_for_a_day_after_the_end() {
        let result = ReceiptResult::of(&made_for_it());
        let noted = receipt(Some(result.clone()));
        assert_eq!(duty(&noted, None, &with(&made_for_it()), at(9 * DAY)), Duty::Keep(None), "it lives");
        let last = made_for_it().decided(true);
        let ended = |last: &NodeMaintenance| {
            Duty::End(Box::new(ReceiptResult { ended_at: Some(at(5)), ..ReceiptResult::of(last) }))
        };
        assert_eq!(duty(&noted, None, &Snapshot::default(), at(5)), ended(&made_for_it()));
        assert_eq!(duty(&noted, Some(&last), &Snapshot::default(), at(5)), ended(&last), "as it was last seen");
        let mut again = made_for_it();
        again.metadata.uid = Some("again".to_owned());
        assert_eq!(duty(&noted, Some(&again), &with(&again), at(5)), ended(&made_for_it()), "another of its name");
        let over = receipt(Some(ReceiptResult { ended_at: Some(at(5)), ..result }));
        assert_eq!(duty(&over, None, &Snapshot::default(), at(6)), Duty::Keep(Some(at(DAY + 5))));
        assert_eq!(duty(&over, None, &Snapshot::default(), at(DAY + 5)), Duty::Forget);
    }
}
