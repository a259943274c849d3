//! The API server alone, over HTTP, in real time: `cargo run -p careen-sim --example api-server -- 127.0.0.1:8001`, then
//! `kubectl --server http://127.0.0.1:8001 get nodes`.

use careen_sim::{
    api_server::{ApiServer, Options, http},
    clock::Clock,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8001".into());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    let server = ApiServer::new(Options::new(Clock::system(), fastrand::u64(..)));
    println!("kubectl --server http://{} get namespaces", listener.local_addr()?);
    http::serve(listener, server.by_token(), async {
        // Until then, or until the process is ended.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
    .await;
    Ok(())
}
