//! A song divided among several engines, with the same result to the bit.
//!
//! A span is a run of consecutive segments of one pass. What it hands on are weighted sums as they stand
//! before division: samples that the span before touches too, segment by segment, so that the merge can add
//! them in the order in which one engine would have; all others added up.

use std::io::{self, Read, Write};
use std::ops::Range;

use rayon::prelude::*;

use crate::error::{BoxError, Error, Result};
use crate::mixture::{Loudness, Mixture};
use crate::overlap::{add_at, all_finite, segment_weight};
use crate::pass::{Output, Pass};
use crate::progress::Observer;
use crate::segment::Segment;
use crate::separator::{Request, Separator, tell};
use crate::stem::StemSink;
use crate::work::Work;

/// A run of consecutive segments of one pass over a song.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Which pass.
    pub pass: usize,
    /// Its first segment.
    pub first: usize,
    /// How many segments; at least one.
    pub count: usize,
}

/// What a span computed.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanSums {
    /// First frame that no segment before the span touches.
    reach: usize,
    /// Of each segment that begins before `reach`: what it adds there.
    heads: Vec<Piece>,
    /// Sums from `reach` on, one row for each channel of each source.
    body: Vec<Vec<f32>>,
}

/// The spans of a song and how one comes by what they computed.
pub struct Joint<'a> {
    /// Loudness of the whole song.
    pub loudness: Loudness,
    /// All spans of the song, as [`Separator::spans`] gave them.
    pub spans: &'a [Span],
    /// Brings what a span computed, by its index; asked for each once, and at most one of each pass is in memory.
    pub sums: &'a mut dyn FnMut(usize) -> std::result::Result<SpanSums, BoxError>,
}

impl std::fmt::Debug for Joint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joint")
            .field("loudness", &self.loudness)
            .field("spans", &self.spans)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Piece {
    start: usize,
    rows: Vec<Vec<f32>>,
}

impl Separator {
    /// Divides a song of `frames` frames into spans of `segments` segments each, or one less.
    ///
    /// # Errors
    /// [`Error::Request`] for what the networks cannot do.
    pub fn spans(&self, frames: usize, request: &Request, segments: usize) -> Result<Vec<Span>> {
        let mut spans = Vec::new();
        for pass in self.passes(frames, request)? {
            let count = pass.segments.count();
            let parts = count.div_ceil(segments.max(1));
            // Even parts: a last one of a single segment would keep a worker for its start-up alone.
            spans.extend((0..parts).map(|i| {
                let (first, end) = (i * count / parts, (i + 1) * count / parts);
                Span { pass: pass.index, first, count: end - first }
            }));
        }
        Ok(spans)
    }

    /// Separates one span. `loudness` is that of the whole song.
    ///
    /// # Errors
    /// [`Error::Request`] when there is no such span, and those of [`Separator::separate`].
    pub fn separate_span(
        &self,
        mixture: &mut dyn Mixture,
        request: &Request,
        loudness: &Loudness,
        span: Span,
        observer: &mut dyn Observer,
    ) -> Result<SpanSums> {
        let mut work = self.span_of(mixture, request, loudness, span)?;
        self.drive(&mut work, &mut Vec::new(), observer)?;
        let none = || Error::Span("a span without sums".to_owned());
        work.into_parts().1.ok_or_else(none)
    }

    /// Joins the spans of a song into its stems: bit for bit what [`Separator::separate`] gives.
    ///
    /// # Errors
    /// [`Error::Span`] when the spans are not those of this song and request or do not fit, and those of
    /// [`Separator::separate`].
    pub fn merge(
        &self,
        mixture: &mut dyn Mixture,
        request: &Request,
        joint: Joint<'_>,
        sink: &mut dyn StemSink,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let Joint { loudness, spans, sums } = joint;
        let mut work = self.work(mixture, request, loudness)?;
        tell(observer, work.progress())?;
        while !work.is_done() {
            if let Some(pass) = work.behind() {
                let wanted = |span: &Span| span.pass == pass.index && span.first == pass.done;
                let index = spans.iter().position(wanted).ok_or_else(|| missing(pass))?;
                let span = spans[index];
                let range = span.first..span.first + span.count;
                if span.count == 0 || range.end > pass.end {
                    return Err(missing(pass));
                }
                sums(index).map_err(Error::Mixture)?.add_to(pass, range)?;
                work.count(span.count);
            }
            while work.hand_out(sink)? {}
            tell(observer, work.progress())?;
        }
        Ok(())
    }

    /// The work of one span. `loudness` is that of the whole song.
    ///
    /// # Errors
    /// [`Error::Request`] when there is no such span, and for what the networks cannot do.
    pub fn span_of<M: Mixture>(
        &self,
        mixture: M,
        request: &Request,
        loudness: &Loudness,
        span: Span,
    ) -> Result<Work<M>> {
        let pass = self.passes(mixture.frames(), request)?.into_iter().nth(span.pass);
        let fits = |pass: &Pass| span.count > 0 && span.first + span.count <= pass.end;
        let pass = pass.filter(fits).ok_or_else(|| Error::Request(format!("the song has no {span:?}")))?;
        Ok(Work::span(self.order(mixture, *loudness), pass, span))
    }
}

fn missing(pass: &Pass) -> Error {
    Error::Span(format!("no span begins at segment {} of pass {}", pass.done, pass.index))
}

/// Sums that are being made, and the weights of a segment's samples.
#[derive(Debug)]
pub(crate) struct Weighted {
    sums: SpanSums,
    weight: Vec<f32>,
}

impl Weighted {
    pub(crate) fn new(pass: &Pass, span: Span) -> Self {
        let reach = pass.segments.reach_before(span.first);
        let body = vec![Vec::new(); 2 * pass.sources.len()];
        let weight = segment_weight(pass.segments.chunk_frames());
        Self { sums: SpanSums { reach, heads: Vec::new(), body }, weight }
    }

    /// Gives whether all samples are finite numbers.
    pub(crate) fn add(&mut self, segment: Segment, output: Output<'_>, sources: &[usize]) -> bool {
        self.sums.add(segment, output, sources, &self.weight)
    }

    pub(crate) fn into_sums(self) -> SpanSums {
        self.sums
    }
}

impl SpanSums {
    fn add(&mut self, segment: Segment, output: Output<'_>, sources: &[usize], weight: &[f32]) -> bool {
        let skipped = (-segment.chunk_start).max(0) as usize;
        let start = segment.chunk_start.max(0) as usize;
        let shared = self.reach.saturating_sub(start);
        let at = start.saturating_sub(self.reach);
        let chunk: Vec<&[f32]> = output.chunk(sources, segment).collect();
        let rows = self.body.par_iter_mut().zip(chunk).map(|(row, samples)| {
            let skipped = skipped.min(samples.len());
            let (own, weight) = (&samples[skipped..], &weight[skipped..samples.len()]);
            let weighted = |part: Range<usize>| {
                own[part.clone()].iter().zip(&weight[part]).map(|(sample, weight)| sample * weight)
            };
            let shared = shared.min(own.len());
            let head: Vec<f32> = weighted(0..shared).collect();
            add_at(row, at, own.len() - shared, |part| weighted(shared + part.start..shared + part.end));
            (head, all_finite(samples))
        });
        let (rows, finite): (Vec<_>, Vec<bool>) = rows.unzip();
        if shared > 0 {
            self.heads.push(Piece { start, rows });
        }
        finite.into_iter().all(|finite| finite)
    }

    fn add_to(&self, pass: &mut Pass, segments: Range<usize>) -> Result<()> {
        let rows = 2 * pass.sources.len();
        let end = segments.clone().map(|index| pass.segments.get(index).chunk_end()).max().unwrap_or(0);
        let reach = pass.segments.reach_before(segments.start);
        let fits = |rows_of: &[Vec<f32>], frames: usize| {
            rows_of.len() == rows && rows_of.iter().all(|row| row.len() == frames)
        };
        let mut heads = self.heads.iter();
        for index in segments.clone() {
            let segment = pass.segments.get(index);
            let start = segment.chunk_start.max(0) as usize;
            if start < reach {
                let shared = reach.min(segment.chunk_end()) - start;
                let head = heads.next().filter(|head| head.start == start && fits(&head.rows, shared));
                let head = head.ok_or_else(|| unfit(pass, index))?;
                pass.overlap.add_sums(start, &head.rows);
            }
            pass.overlap.add_weight(segment.chunk_start, segment.chunk_frames);
        }
        if self.reach != reach || heads.next().is_some() || !fits(&self.body, end.saturating_sub(reach)) {
            return Err(unfit(pass, segments.start));
        }
        pass.overlap.add_sums(reach, &self.body);
        (pass.next, pass.done) = (segments.end, segments.end);
        pass.overlap.complete_to(pass.segments.complete_before(pass.done));
        Ok(())
    }

    /// Writes it for another engine: a head of whole numbers, then 32-bit floats, all little-endian.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_to(&self, writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(&MAGIC)?;
        let body = (self.reach, &self.body);
        let pieces = self.heads.iter().map(|head| (head.start, &head.rows)).chain([body]);
        write_number(writer, self.heads.len())?;
        write_number(writer, self.body.len())?;
        let mut bytes = Vec::new();
        for (start, rows) in pieces {
            write_number(writer, start)?;
            write_number(writer, rows.first().map_or(0, Vec::len))?;
            for part in rows.iter().flat_map(|row| row.chunks(PART)) {
                bytes.clear();
                bytes.extend(part.iter().flat_map(|sample| sample.to_le_bytes()));
                writer.write_all(&bytes)?;
            }
        }
        Ok(())
    }

    /// Reads what [`SpanSums::write_to`] wrote. Needs no more memory than bytes arrive.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for anything else, and those of the reader.
    pub fn read_from(reader: &mut dyn Read) -> io::Result<Self> {
        let mut magic = [0; 8];
        reader.read_exact(&mut magic)?;
        let (heads, rows) = (read_number(reader)?, read_number(reader)?);
        if magic != MAGIC || heads > MAX_PIECES || rows > MAX_PIECES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut pieces = Vec::new();
        for _ in 0..=heads {
            let (start, frames) = (read_number(reader)?, read_number(reader)?);
            let rows = (0..rows).map(|_| read_row(reader, frames)).collect::<io::Result<_>>()?;
            pieces.push(Piece { start, rows });
        }
        let body = pieces.pop().ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { reach: body.start, heads: pieces, body: body.rows })
    }
}

/// Names the layout and its version.
const MAGIC: [u8; 8] = *b"mssums 1";
/// Frames converted at a time.
const PART: usize = 8192;
/// More heads or rows than any division of a song has.
const MAX_PIECES: usize = 1 << 12;

fn unfit(pass: &Pass, segment: usize) -> Error {
    Error::Span(format!(
        "the sums at segment {segment} of pass {} are of another song or division",
        pass.index
    ))
}

fn write_number(writer: &mut dyn Write, number: usize) -> io::Result<()> {
    writer.write_all(&(number as u64).to_le_bytes())
}

fn read_number(reader: &mut dyn Read) -> io::Result<usize> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn read_row(reader: &mut dyn Read, frames: usize) -> io::Result<Vec<f32>> {
    let mut row = Vec::new();
    let mut bytes = vec![0; 4 * PART];
    while row.len() < frames {
        let part = &mut bytes[..4 * PART.min(frames - row.len())];
        reader.read_exact(part)?;
        row.extend(part.as_chunks::<4>().0.iter().map(|sample| f32::from_le_bytes(*sample)));
    }
    Ok(row)
}
