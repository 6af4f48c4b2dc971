//! Whose turn it is.

use super::{Bench, Verdict, holds, job, same, worker};
use crate::queue::{Fence, NewJob, Outcome};

/// Claims the next task and separates it; gives its tenant.
async fn serve(bench: &Bench) -> Verdict<String> {
    let (claim, token) = bench.take(&worker("f")).await?;
    same!(bench.queue.complete(claim.task, token, &Outcome::Done).await?, Fence::Held);
    Ok(claim.tenant.as_str().to_owned())
}

pub(super) async fn i11_a_light_tenant_does_not_wait_for_a_flood(bench: &Bench) -> Verdict {
    for n in 0..1000 {
        bench.enter(&job("flood", n)).await?;
    }
    for _ in 0..5 {
        same!(serve(bench).await?, "flood");
    }
    for n in 0..10 {
        bench.enter(&job("light", 1000 + n)).await?;
    }
    let mut waited = 0;
    let mut served = 0;
    while served < 10 {
        if serve(bench).await? == "light" {
            served += 1;
            waited = 0;
        } else {
            waited += 1;
        }
        // Every other turn is its own, once it is noticed behind what came before it.
        holds!(waited <= 4, "song {served} of the light tenant has waited for {waited} of the flood");
    }
    Ok(())
}

pub(super) async fn i11_tenants_share_by_size_of_work(bench: &Bench) -> Verdict {
    for n in 0..40 {
        bench.enter(&NewJob { cost_ms: 3000, ..job("long_songs", n) }).await?;
        bench.enter(&job("short_songs", 100 + n)).await?;
    }
    let mut long = 0;
    for _ in 0..40 {
        long += u32::from(serve(bench).await? == "long_songs");
    }
    holds!((9..=11).contains(&long), "{long} of 40 were the long ones, a quarter is fair");
    Ok(())
}

pub(super) async fn idleness_is_not_saved_up(bench: &Bench) -> Verdict {
    bench.enter(&job("b", 0)).await?;
    same!(serve(bench).await?, "b");
    for n in 1..31 {
        bench.enter(&job("a", n)).await?;
    }
    for _ in 0..20 {
        same!(serve(bench).await?, "a");
    }
    for n in 31..41 {
        bench.enter(&job("b", n)).await?;
    }
    let mut turns = String::new();
    for _ in 0..10 {
        turns.push_str(&serve(bench).await?);
    }
    let share = turns.matches('b').count();
    holds!((4..=6).contains(&share), "after a pause its turns were {turns}");
    Ok(())
}
