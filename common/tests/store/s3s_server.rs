//! An S3 server in this process, on files of a test's own, that can be told to forget a promise.

use std::path::Path;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput,
    GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, PutObjectInput,
    PutObjectOutput, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::{ACCESS_KEY, SECRET_KEY};

/// Checks that s3s-fs 0.14.1 does not pass.
pub(crate) const LEFT_OUT: &[&str] = &[
    // It looks whether there is an object and then writes: several writers can win.
    "one_of_sixteen_writers_wins",
    "one_of_eight_streams_wins",
    "one_of_eight_copies_wins",
    // By its source it forgets an upload before it has made an object of its parts, out of reach of an abort. A part was
    // left after this check in two runs beside compilers; that this is why was not shown.
    "racing_streams_never_mix",
    // It keeps notes on an object in a file whose name holds the whole key.
    "long_keys",
    // It lists no etags.
    "listed_etags_are_those_of_the_objects",
];

/// Where the server ignores `If-None-Match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgets {
    Nothing,
    OnPut,
    OnComplete,
}

/// A running server.
pub(crate) struct Server {
    listening: JoinHandle<()>,
    port: u16,
    folder: TempDir,
}

impl Server {
    pub(crate) async fn start(forgets: Forgets) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = FileSystem::new(folder.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(Forgetful { files, forgets });
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let listening = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let http = Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { listening, port, folder }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Uploads that are open on a server with its files in `root`.
pub(crate) fn open_uploads(root: &Path) -> usize {
    let names = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with(".upload")).count()
}

struct Forgetful {
    files: FileSystem,
    forgets: Forgets,
}

macro_rules! pass_on {
    ($($call:ident: $input:ident -> $output:ident;)+) => {
        #[async_trait::async_trait]
        impl S3 for Forgetful {
            async fn put_object(
                &self,
                mut request: S3Request<PutObjectInput>,
            ) -> S3Result<S3Response<PutObjectOutput>> {
                if self.forgets == Forgets::OnPut {
                    request.input.if_none_match = None;
                }
                self.files.put_object(request).await
            }

            async fn complete_multipart_upload(
                &self,
                mut request: S3Request<CompleteMultipartUploadInput>,
            ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
                if self.forgets == Forgets::OnComplete {
                    request.input.if_none_match = None;
                }
                self.files.complete_multipart_upload(request).await
            }

            $(async fn $call(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                self.files.$call(request).await
            })+
        }
    };
}

pass_on! {
    abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput;
    copy_object: CopyObjectInput -> CopyObjectOutput;
    create_bucket: CreateBucketInput -> CreateBucketOutput;
    create_multipart_upload: CreateMultipartUploadInput -> CreateMultipartUploadOutput;
    delete_object: DeleteObjectInput -> DeleteObjectOutput;
    get_object: GetObjectInput -> GetObjectOutput;
    head_bucket: HeadBucketInput -> HeadBucketOutput;
    head_object: HeadObjectInput -> HeadObjectOutput;
    list_objects_v2: ListObjectsV2Input -> ListObjectsV2Output;
    list_parts: ListPartsInput -> ListPartsOutput;
    upload_part: UploadPartInput -> UploadPartOutput;
    upload_part_copy: UploadPartCopyInput -> UploadPartCopyOutput;
}
