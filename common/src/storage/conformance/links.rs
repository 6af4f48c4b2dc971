//! Signed links, followed over plain HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Subject;
use super::sample::{bytes, eventually, read};
use super::web::ask;
use crate::storage::{Result, Signed, StoreError, Write};

const HOUR: Duration = Duration::from_hours(1);

pub(super) async fn signed_get(subject: Arc<Subject>) -> Result<()> {
    let key = Subject::key("signed_get", "a song+é.mp3");
    subject.store.put(&key, bytes(1, 100_000), Write::Replace).await?;
    let Some(link) = subject.store.sign(&key, Signed::Get, HOUR, Some("Für \"Elise\".mp3")).await? else {
        return Ok(());
    };
    let answer = ask(&link, None, None).await.map_err(|error| lost(&error))?;
    assert_eq!((answer.status, &answer.body[..]), (200, &bytes(1, 100_000)[..]));
    let disposition = &answer.headers["content-disposition"];
    assert_eq!(
        disposition,
        "attachment; filename=\"F_r _Elise_.mp3\"; filename*=UTF-8''F%C3%BCr%20%22Elise%22.mp3"
    );
    assert_eq!(answer.headers["content-type"], "audio/mpeg");
    let part = ask(&link, None, Some("bytes=10-19")).await.map_err(|error| lost(&error))?;
    assert_eq!((part.status, &part.body[..]), (206, &bytes(1, 100_000)[10..20]));
    let forged =
        ask(&link.replace("signed_get", "signed_get_"), None, None).await.map_err(|error| lost(&error))?;
    assert_eq!(forged.status, 403);
    assert!(ask(&link, Some(b"other".to_vec()), None).await.map_err(|error| lost(&error))?.status >= 400);
    assert_eq!(read(&*subject.store, &key, None).await?, bytes(1, 100_000));
    Ok(())
}

pub(super) async fn signed_put(subject: Arc<Subject>) -> Result<()> {
    let key = Subject::key("signed_put", "upload");
    let Some(link) = subject.store.sign(&key, Signed::Put, HOUR, None).await? else { return Ok(()) };
    assert_eq!(
        ask(&link, Some(bytes(2, 70_000).to_vec()), None).await.map_err(|error| lost(&error))?.status,
        200
    );
    assert_eq!(read(&*subject.store, &key, None).await?, bytes(2, 70_000));

    let bound = Signed::PutExactly { size_bytes: 10 };
    let Some(link) = subject.store.sign(&key, bound, HOUR, None).await? else { return Ok(()) };
    assert!(ask(&link, Some(bytes(3, 11).to_vec()), None).await.map_err(|error| lost(&error))?.status >= 400);
    assert_eq!(read(&*subject.store, &key, None).await?, bytes(2, 70_000));
    assert_eq!(
        ask(&link, Some(bytes(3, 10).to_vec()), None).await.map_err(|error| lost(&error))?.status,
        200
    );
    assert_eq!(read(&*subject.store, &key, None).await?, bytes(3, 10));
    Ok(())
}

pub(super) async fn signed_links_expire(subject: Arc<Subject>) -> Result<()> {
    let key = Subject::key("signed_links_expire", "song");
    subject.store.put(&key, bytes(1, 10), Write::Replace).await?;
    let second = Duration::from_secs(1);
    let Some(link) = subject.store.sign(&key, Signed::Get, second, None).await? else { return Ok(()) };
    let link = &link;
    eventually(
        "a link expires",
        || async move { ask(link, None, None).await.is_ok_and(|it| it.status == 403) },
    )
    .await;
    let long = subject.store.sign(&key, Signed::Get, 24 * 8 * HOUR, None).await;
    assert!(matches!(long, Err(StoreError::Refused(_))), "{long:?}");
    Ok(())
}

fn lost(error: &io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
