//! In which form a client wants its answer: the header `Accept`.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources>

use super::refusal::Refusal;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) shape: Shape,
    pub(super) encoding: Encoding,
}

/// What of an object is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    #[default]
    Whole,
    /// Rows of a table.
    Table,
    /// Metadata only.
    Metadata,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    #[default]
    Json,
    Yaml,
}

impl Accepted {
    /// The first of the wanted forms that there is.
    pub(super) fn negotiate(accept: &str) -> Result<Self, Refusal> {
        if accept.trim().is_empty() {
            return Ok(Self::default());
        }
        accept.split(',').find_map(Self::of_clause).ok_or_else(|| {
            if accept.contains("application/") {
                let message = "only the following media types are accepted: application/json, application/yaml";
                return Refusal::new(406, "NotAcceptable", message);
            }
            let message = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml";
            Refusal::generic(406, "NotAcceptable", message)
        })
    }

    fn of_clause(clause: &str) -> Option<Self> {
        let mut parts = clause.split(';').map(str::trim);
        let encoding = match parts.next()? {
            "application/json" | "application/*" | "*/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => return None,
        };
        let mut wanted = ("", "v1", "meta.k8s.io");
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key.trim() {
                "as" => wanted.0 = value.trim(),
                "v" => wanted.1 = value.trim(),
                "g" => wanted.2 = value.trim(),
                _ => {}
            }
        }
        let shape = match wanted {
            ("", _, _) => Shape::Whole,
            ("Table", "v1", "meta.k8s.io") => Shape::Table,
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "v1", "meta.k8s.io") => Shape::Metadata,
            _ => return None,
        };
        Some(Self { shape, encoding })
    }
}

/// Whether aggregated discovery (version 2) is wanted before the classic one.
pub(super) fn wants_aggregated_discovery(accept: &str) -> bool {
    accept.split(',').any(|clause| {
        let parts: Vec<_> = clause.split(';').map(str::trim).collect();
        parts[0] == "application/json"
            && ["as=APIGroupDiscoveryList", "v=v2", "g=apidiscovery.k8s.io"].iter().all(|part| parts.contains(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_there_is_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,\
                       application/json";
        let cases = [
            ("", Shape::Whole),
            ("application/json", Shape::Whole),
            ("*/*", Shape::Whole),
            ("application/vnd.kubernetes.protobuf,application/json", Shape::Whole),
            (kubectl, Shape::Table),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Shape::Metadata),
            ("application/json;as=Table;v=v9;g=meta.k8s.io, application/json", Shape::Whole),
        ];
        for (accept, shape) in cases {
            assert_eq!(Accepted::negotiate(accept).unwrap().shape, shape, "{accept}");
        }
        assert_eq!(Accepted::negotiate("application/yaml").unwrap().encoding, Encoding::Yaml);
    }

    #[test]
    fn what_nobody_can_write_is_refused() {
        for accept in ["application/vnd.kubernetes.protobuf", "application/cbor", "text/html"] {
            let refusal = Accepted::negotiate(accept).unwrap_err();
            assert_eq!((refusal.code, refusal.reason.as_ref()), (406, "NotAcceptable"), "{accept}");
        }
    }
}
