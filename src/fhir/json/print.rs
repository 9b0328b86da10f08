//! JSON that is written piece by piece.

use super::text::plain_ascii;

/// Prints an object member by member.
pub struct ObjectWriter<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl<'o> ObjectWriter<'o> {
    /// Begins an object behind what `out` holds.
    pub fn new(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    /// Begins a member: its value is to be written next. `name` needs no escape.
    pub fn member(&mut self, name: &str) -> &mut String {
        let out = self.keyed("\"");
        out.push_str(name);
        out.push_str("\":");
        out
    }

    /// Begins a member by its name as it is printed, with the quotation marks and the colon.
    pub fn keyed(&mut self, name: &str) -> &mut String {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(',');
        }
        self.out.push_str(name);
        self.out
    }

    /// Writes a member that is a text.
    pub fn text(&mut self, name: &str, text: &str) {
        let out = self.member(name);
        quote(text, out);
    }

    /// Ends the object.
    pub fn end(self) {
        self.out.push('}');
    }
}

/// Appends `text` as JSON has it.
pub fn quote(text: &str, out: &mut String) {
    if plain_ascii(text.as_bytes()) < text.len() {
        out.push_str(&serde_json::Value::from(text).to_string());
        return;
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
}
