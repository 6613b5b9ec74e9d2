//! Lays out tables as Go's tabwriter does with upstream's settings: columns at least 5 wide, 3 blanks apart.
//!
//! All cells live in one text and two words each, so that a hundred thousand rows stay cheap.

use std::fmt;
use std::io;

#[cfg(test)]
mod tests;

/// The narrowest a column gets, padding included.
const MINIMUM_WIDTH: usize = 5;

/// Blanks behind the longest cell of a column.
const PADDING: usize = 3;

/// A table under construction: cells are appended from left to right, rows from top to bottom.
///
/// A cell may also be built piece by piece through [`fmt::Write`], then closed with [`Table::end_cell`].
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The texts of all cells, one after another.
    text: String,
    /// Every closed cell.
    cells: Vec<Cell>,
    /// For every closed row the number of cells up to its end.
    rows: Vec<usize>,
    /// Where the open cell starts in `text`.
    open: usize,
}

/// A closed cell.
#[derive(Debug, Clone, Copy)]
struct Cell {
    /// Where its text ends.
    end: usize,
    /// Its width in characters.
    width: u32,
    /// Whether it stands alone at the end of a line that a newline inside a cell has cut: it takes part in no column.
    loose: bool,
}

// === impl Table ===

impl Table {
    /// Makes an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a cell to the open row.
    pub fn cell(&mut self, text: &str) {
        self.text.push_str(text);
        self.end_cell();
    }

    /// Appends one cell per text and closes the row.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        for cell in cells {
            self.cell(cell);
        }
        self.end_row();
    }

    /// Closes the cell that was built piece by piece; an empty one if nothing was written.
    pub fn end_cell(&mut self) {
        // COMPAT(tabs in cells): to upstream's layout a tab inside a cell ends the cell and a newline the row.
        let start = self.open;
        let mut from = start;
        while let Some(at) = memchr::memchr2(b'\t', b'\n', &self.text.as_bytes()[from..]) {
            let newline = self.text.as_bytes()[from + at] == b'\n';
            // The separator itself is not shown: it is taken out of the text.
            self.text.remove(from + at);
            self.close(from, from + at, newline);
            from += at;
            if newline {
                self.end_row();
            }
        }
        self.close(from, self.text.len(), false);
    }

    /// Closes the row.
    pub fn end_row(&mut self) {
        self.rows.push(self.cells.len());
    }

    /// How many rows are closed.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Writes the rows, each ended by a newline, in chunks that `out` need not buffer.
    pub fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
        const CHUNK: usize = 1 << 16;
        let mut buffer = String::with_capacity(CHUNK + 1024);
        self.layout(|line, widths| {
            self.push_line(&mut buffer, line, widths);
            if buffer.len() < CHUNK {
                return Ok(());
            }
            let written = out.write_all(buffer.as_bytes());
            buffer.clear();
            written
        })?;
        out.write_all(buffer.as_bytes())
    }

    /// Appends the rows to a text.
    pub fn write_text(&self, out: &mut String) {
        let appended: Result<(), std::convert::Infallible> = self.layout(|line, widths| {
            self.push_line(out, line, widths);
            Ok(())
        });
        match appended {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    fn close(&mut self, start: usize, end: usize, loose: bool) {
        let width = self.text[start..end].chars().count();
        let width = u32::try_from(width).unwrap_or(u32::MAX);
        self.cells.push(Cell { end, width, loose });
        self.open = end;
    }

    /// Calls `emit` for every row with the widths of its columns.
    ///
    /// A column is a run of adjacent rows that have a cell there; where a row is shorter than its neighbours, the
    /// columns right of it start anew below.
    fn layout<E>(&self, mut emit: impl FnMut(usize, &[usize]) -> Result<(), E>) -> Result<(), E> {
        let mut widths: Vec<usize> = Vec::new();
        // For each column of `widths`, the row behind the last one that it covers.
        let mut covers: Vec<usize> = Vec::new();
        for line in 0..self.rows.len() {
            while covers.last().is_some_and(|&end| end <= line) {
                covers.pop();
                widths.pop();
            }
            let columns = self.columns(line);
            while widths.len() < columns {
                let column = widths.len();
                // A column ends where the column left of it does, at the latest.
                let limit = covers.last().copied().unwrap_or(self.rows.len());
                let (width, end) = self.measure(column, line, limit);
                widths.push(width);
                covers.push(end);
            }
            emit(line, &widths)?;
        }
        Ok(())
    }

    /// The width of the column that starts in row `first`, and the row behind its last.
    fn measure(&self, column: usize, first: usize, limit: usize) -> (usize, usize) {
        let mut width = MINIMUM_WIDTH;
        for line in first..limit {
            if column >= self.columns(line) {
                return (width, line);
            }
            width = width.max(self.cells[self.start(line) + column].width as usize + PADDING);
        }
        (width, limit)
    }

    fn start(&self, line: usize) -> usize {
        if line == 0 { 0 } else { self.rows[line - 1] }
    }

    /// How many cells of a row stand in columns.
    fn columns(&self, line: usize) -> usize {
        let cells = &self.cells[self.start(line)..self.rows[line]];
        cells.len() - usize::from(cells.last().is_some_and(|cell| cell.loose))
    }

    fn push_line(&self, out: &mut String, line: usize, widths: &[usize]) {
        let first = self.start(line);
        let mut start = if first == 0 { 0 } else { self.cells[first - 1].end };
        for (column, cell) in self.cells[first..self.rows[line]].iter().enumerate() {
            out.push_str(&self.text[start..cell.end]);
            start = cell.end;
            // A loose cell finds no width: the columns of its row end before it.
            if let Some(width) = widths.get(column) {
                pad(out, width.saturating_sub(cell.width as usize));
            }
        }
        out.push('\n');
    }
}

impl fmt::Write for Table {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.push_str(text);
        Ok(())
    }
}

fn pad(out: &mut String, mut count: usize) {
    const BLANKS: &str = "                                                                ";
    while count > 0 {
        let now = count.min(BLANKS.len());
        out.push_str(&BLANKS[..now]);
        count -= now;
    }
}
