//! Asking again: an API server that has much to do turns requests away, or lets go of a connection.

use std::time::Duration;

use kube::Error;

/// With the time between them: it is asked for 3 s, and each time a little more has been done.
const TRIES: u32 = 30;
const BETWEEN: Duration = Duration::from_millis(100);

/// The answer to a request; it is sent again after errors for which that `may_help`.
pub(crate) async fn again_while<T>(
    may_help: impl Fn(&Error) -> bool,
    ask: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Error> {
    for _ in 1..TRIES {
        match ask().await {
            Err(error) if may_help(&error) => tokio::time::sleep(BETWEEN).await,
            answer => return answer,
        }
    }
    ask().await
}

/// Nobody has said yes or no. It may have been carried out: for what is the same when it is done twice.
pub(crate) fn no_verdict(error: &Error) -> bool {
    !matches!(error, Error::Api(status) if status.code < 500 && status.code != 429)
}

/// It was turned away before anything was done: for what would not be the same.
pub(crate) fn turned_away(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 429)
}

/// There was no answer at all: for what is answered with 429 and 500 for reasons of its own, as evictions are.
pub(crate) fn no_answer(error: &Error) -> bool {
    !matches!(error, Error::Api(_))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::core::Status;

    use super::*;

    fn said(code: u16) -> Error {
        Error::Api(Status { code, ..Status::default() }.boxed())
    }

    fn cut_off() -> Error {
        Error::Service("the connection was reset".into())
    }

    #[test]
    fn what_was_decided_is_not_asked_again() {
        for code in [400, 403, 404, 409, 422] {
            assert!(!no_verdict(&said(code)) && !turned_away(&said(code)) && !no_answer(&said(code)), "{code}");
        }
        assert!(no_verdict(&said(429)) && turned_away(&said(429)) && !no_answer(&said(429)));
        for code in [500, 503, 504] {
            assert!(no_verdict(&said(code)) && !turned_away(&said(code)) && !no_answer(&said(code)), "{code}");
        }
        assert!(no_verdict(&cut_off()) && !turned_away(&cut_off()) && no_answer(&cut_off()));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_until_there_is_a_verdict_and_not_for_ever() {
        let asked = Cell::new(0);
        let nth = async |answer: fn(u32) -> Result<u32, Error>| {
            asked.set(0);
            again_while(no_verdict, async || {
                asked.set(asked.get() + 1);
                answer(asked.get())
            })
            .await
        };
        assert_eq!(nth(|time| if time < 3 { Err(said(503)) } else { Ok(time) }).await.unwrap(), 3);
        assert!(nth(|time| Err(if time < 2 { cut_off() } else { said(404) })).await.is_err());
        assert_eq!(asked.get(), 2);
        assert!(nth(|_| Err(said(500))).await.is_err());
        assert_eq!(asked.get(), TRIES);
    }
}
