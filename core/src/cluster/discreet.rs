//! What a kubeconfig's exec plugin printed is not repeated: it may be a token.

use std::error::Error;

use kube::client::AuthError;
use tower::BoxError;

/// An error without what an exec plugin was given or printed.
pub(super) fn discreet(error: BoxError) -> BoxError {
    match without_secrets(error.as_ref()) {
        Some(sentence) => sentence.into(),
        None => error,
    }
}

/// What to say of an error that repeats what an exec plugin was given or printed; `None` if it does not.
pub(super) fn without_secrets(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<AuthError>() {
            Some(AuthError::AuthExecRun { out, .. }) => {
                return Some(format!("the kubeconfig's exec plugin failed ({})", out.status));
            }
            Some(AuthError::AuthExecParse(_) | AuthError::AuthExec(_) | AuthError::ParseTokenKey(_)) => {
                return Some("the kubeconfig's exec plugin printed no credential that can be read".to_owned());
            }
            _ => cause = error.source(),
        }
    }
    None
}
