/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live - GET /api/cluster/live: who watches the cluster gets what is new, as server-sent events.
 *
 *     members, figures, state --a pool job, each time a pace is due--> one frame --> all watchers of the pace
 *
 * A pace is how often: LIVE_PACES. All watchers of one share its frames, which are made only while there are any. A frame is the
 * events `cluster`, and where there is something new `members`, `changed`, `ring`, `quotas` (docs/api.md). Whoever comes first gets a frame of all
 * there is, made at once.
 * Bounds   LIVE_WATCHERS streams: 503 beyond. A watcher has a pipe of LIVE_PIPE bytes and a place in the row of the last
 *          frames, LIVE_FRAMES and about LIVE_BYTES of each pace: who is behind them gets no more, and comes back for a frame of all. Its
 *          connection, where it takes no byte at all, is closed by the server's send timeout; its place is taken until then.
 * The end  Each time a frame goes out a watcher whose login is over gets none, and the stream ends; it does after LIVE_LONGEST_MS for
 *          everybody, so that a session's cookie is renewed, and connections go round the leaders.
 *
 * Thread  the leader's loop.
 */
#pragma once

#define LIVE_WATCHERS   64
#define LIVE_PACES      { 1000, 2000, 5000, 10000 } /* ms */
#define LIVE_PIPE       (64 * 1024)
#define LIVE_FRAMES     16
#define LIVE_BYTES      (8 * 1024 * 1024)
#define LIVE_LONGEST_MS (60 * 60 * 1000)

struct http_request;
struct leader;
struct live;
struct login_who;
struct live *live_new(struct leader *leader);
void live_free(struct live *live); /* the server and the pool are gone */
/* Replies, and goes on until the stream ends. */
void live_serve(struct live *live, struct http_request *request, const struct login_who *who);
/* All streams end, and their browsers are told to come again soon, elsewhere maybe. */
void live_send_away(struct live *live);
/* The same, and nobody is served any more. */
void live_close(struct live *live);
unsigned live_watchers(const struct live *live);
