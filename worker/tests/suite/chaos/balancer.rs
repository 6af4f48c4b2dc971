//! What stands before several `rest`: new connections go to those that are in it, as with a service of Kubernetes.

use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// The ports of those that take connections, in turns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Balancer(Arc<Mutex<Vec<u16>>>);

impl Balancer {
    /// Takes connections until the runtime ends.
    pub(crate) async fn listen(port: u16) -> Self {
        let (balancer, listener) = (Self::default(), TcpListener::bind(("127.0.0.1", port)).await.unwrap());
        let taking = balancer.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let Some(port) = taking.next() else { continue };
                tokio::spawn(async move {
                    // No second try: who is refused by one that should be there is to notice it.
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                        copy_bidirectional(&mut client, &mut server).await.ok();
                    }
                });
            }
        });
        balancer
    }

    pub(crate) fn add(&self, port: u16) {
        self.0.lock().unwrap().push(port);
    }

    pub(crate) fn remove(&self, port: u16) {
        self.0.lock().unwrap().retain(|other| *other != port);
    }

    fn next(&self) -> Option<u16> {
        let mut ports = self.0.lock().unwrap();
        if !ports.is_empty() {
            ports.rotate_left(1);
        }
        ports.last().copied()
    }
}
