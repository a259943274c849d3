//! Who this replica is.

use std::{
    env, fs,
    hash::{BuildHasher, Hasher, RandomState},
};

use careen_core::model::ObjectKey;

/// The pod that this process runs in, from `POD_NAMESPACE` and `POD_NAME` (the Deployment sets them).
pub(crate) fn own_pod() -> Option<ObjectKey> {
    Some(ObjectKey::new(set("POD_NAMESPACE")?, set("POD_NAME")?))
}

/// A name that no other replica has: the pod's, or else the host's and something random.
pub(crate) fn of_this_replica() -> String {
    set("POD_NAME").unwrap_or_else(|| {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = host.as_deref().map(str::trim).filter(|name| !name.is_empty()).unwrap_or("careen");
        format!("{host}-{:08x}", random())
    })
}

/// An environment variable that is set and not empty.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Two processes on one host get different ones; nothing has to be unguessable.
pub(crate) fn random() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_replicas_on_a_host_have_the_same_random_part() {
        assert_ne!(random(), random());
    }
}
