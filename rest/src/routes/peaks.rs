//! `GET /v2/jobs/{id}/stems/{stem}/peaks`: the lowest and highest sample of equal parts, to draw a waveform.
//!
//! The worker that encoded the result wrote them into its commit record: they are there as soon as it is.

use axum::Json;
use axum::extract::State;
use common::job::ResultFile;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::request::{Query, Words};
use crate::service::find;
use crate::state::App;

/// Parts where the request does not say.
const USUAL: usize = 1000;

/// `GET /v2/jobs/{id}/stems/{stem}/peaks`.
pub(super) async fn peaks(
    State(app): State<App>,
    caller: Caller,
    Words([id, stem]): Words<2>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    let record = find(&app, &caller, &id).await?;
    let name = stem.parse().map_err(|_| Problem::not_found())?;
    let points = query.number::<usize>("points")?.unwrap_or(USUAL).max(1);
    let missing =
        || Problem::new(Code::NotFound, "there is no such stem, or not yet, or nothing to draw of it");
    let result = app.ledger.result(&record, &name).await?.ok_or_else(missing)?;
    let kept = app.ledger.peaks(&record, &result).await?;
    if kept.is_empty() {
        return Err(missing());
    }
    let ResultFile { frames, rate_hz, .. } = result;
    Ok(Json(json!({ "frames": frames, "rate_hz": rate_hz, "peaks": joined(&kept, points) })))
}

/// The same in at most `points` parts, full scale at 1.
fn joined(kept: &[[i16; 2]], points: usize) -> Vec<[f32; 2]> {
    let points = points.min(kept.len());
    let scaled = |sample: i16| f32::from(sample) / 32_768.0;
    (0..points)
        .map(|point| {
            let parts = &kept[point * kept.len() / points..(point + 1) * kept.len() / points];
            let low = parts.iter().map(|[low, _]| *low).min().unwrap_or_default();
            let high = parts.iter().map(|[_, high]| *high).max().unwrap_or_default();
            [scaled(low), scaled(high)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_points_lose_no_peak() {
        let kept = [[-32_768, 0], [0, 16_384], [-8192, 8192], [0, 0], [-1, 24_576]];
        assert_eq!(joined(&kept, 1), [[-1.0, 0.75]]);
        assert_eq!(joined(&kept, 2), [[-1.0, 0.5], [-0.25, 0.75]]);
        assert_eq!(joined(&kept, 99).len(), 5);
    }
}
