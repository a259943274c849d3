//! How long a sentence may be that is kept in the cluster.

/// More characters are not kept: names and answers in it come from others' objects, and all sentences of an operation
/// are to fit into one object (etcd takes 1.5 MiB).
const LONGEST: usize = 1_000;

/// The sentence, cut where it is too long to be kept.
#[must_use]
pub fn bounded(mut sentence: String) -> String {
    if let Some((end, _)) = sentence.char_indices().nth(LONGEST) {
        sentence.truncate(end);
        sentence.push('…');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_long_is_cut_and_never_within_a_character() {
        assert_eq!(bounded("é".repeat(LONGEST)), "é".repeat(LONGEST));
        assert_eq!(bounded("é".repeat(LONGEST + 1)), format!("{}…", "é".repeat(LONGEST)));
    }
}
