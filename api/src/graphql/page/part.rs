//! A file of the page.

use crate::rest::Kept;

pub(super) const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(super) const STYLE: &str = "text/css; charset=utf-8";

/// A file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) type_: &'static str,
    pub(super) content: Content,
}

/// What is in it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// As it is.
    Text(&'static str),
    /// Compressed when it was made: it is megabytes.
    #[cfg_attr(not(graphiql), expect(dead_code, reason = "only GraphiQL is large"))]
    Gzip(&'static [u8]),
}

impl Part {
    /// What is answered to who asks for it.
    pub(super) fn kept(&self) -> Kept {
        match self.content {
            Content::Text(text) => Kept::plain(self.type_, text),
            Content::Gzip(bytes) => Kept::gzip(self.type_, bytes),
        }
    }
}
