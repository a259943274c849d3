//! Pages of `docs/` that are written by hand have the names of the code: every one, and in its order.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{fs, path::Path};

use careen_core::model::BlockReason;

/// A file of the repository.
fn read(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&file).unwrap()
}

/// The variants of an enum without fields, as its source has them.
fn variants(source: &str, name: &str) -> Vec<String> {
    let start = format!("pub enum {name} {{\n");
    let body = source.split(start.as_str()).nth(1).unwrap().split("\n}").next().unwrap();
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('#'));
    lines.filter(|line| !line.is_empty()).map(|line| line.trim_end_matches(',').to_owned()).collect()
}

/// The names in the first column of the table below a heading.
fn rows(page: &str, heading: &str) -> Vec<String> {
    let section = page.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
    let names = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

#[test]
fn every_reason_is_explained() {
    let page = read("docs/reasons.md");
    let blocked = variants(&read("core/src/model/verdict.rs"), "BlockReason");
    assert_eq!(rows(&page, "\n## A workload is blocked\n"), blocked);
    let warnings = variants(&read("core/src/plan/preview.rs"), "WarningReason");
    assert_eq!(rows(&page, "\n## A plan warns\n"), warnings);
    let troubles = variants(&read("core/src/model/trouble.rs"), "TroubleReason");
    assert_eq!(rows(&page, "\n## Something is wrong with the operation itself\n"), troubles);
}

#[test]
fn every_reason_has_its_class() {
    let page = read("docs/reasons.md");
    for name in rows(&page, "\n## A workload is blocked\n") {
        let class = serde_json::from_value::<BlockReason>(name.as_str().into()).unwrap().class();
        assert!(page.contains(&format!("| `{name}` | {class:?} |")), "{name} is {class:?}");
    }
}

#[test]
fn every_metric_is_explained() {
    let page = read("docs/metrics.md");
    for (file, prefix) in [("core/src/metrics.rs", "careen_"), ("api/src/rest/frame/metrics.rs", "careen_http_")] {
        let source = read(file);
        let calls = source.split("registry.register").skip(1);
        // The name is the first text of the call.
        let names: Vec<&str> = calls.filter_map(|call| call.split('"').nth(1)).collect();
        assert!(names.len() > 3, "{file}: {names:?}");
        for name in names {
            assert!(page.contains(&format!("| `{prefix}{name}")), "{prefix}{name} is not in docs/metrics.md");
        }
    }
}
