/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reach - which of the other workers can be reached from here, asked only while there is a doubt.
 *
 *     a call failed                        the member is left alone for REACH_FAILED_MS       cluster_peer_failed()
 *     a call has no answer for some time   nothing changes yet                               cluster_peer_doubted()
 *
 *     either: each REACH_EVERY_MS it is asked who it is (peer_probe.h)
 *                 it answers within REACH_WAIT_MS -> it is as any other
 *                 it does not                     -> left alone on; calls that wait for it go elsewhere (peer.c)
 *
 * So a member that is dead, frozen or behind a wall costs a probe now and then, and no request. Its repositories are served by whoever is
 * asked for them where storage is shared.
 *
 * Where most of the others cannot be reached that is COMPLAINT_PEERS. Who is alone cannot tell whether it is cut off or the last one alive; the leaders
 * can: while fewer than half of the workers have that complaint, those that have it are the ones who are cut off. They are told so with the next
 * beat and, when the one after says so too, are not ready (COMPLAINT_CUT), so that balancers send nothing more to where an upload and its worker
 * may not meet. Two: of many that lose each other one complains first, and is told so once.
 *
 * Led workers. Thread  the cluster's loop, but for reach_doubt().
 */
#pragma once

#include <stdbool.h>

struct cluster;
struct reach;

#define REACH_EVERY_MS  500
#define REACH_WAIT_MS   2000
#define REACH_FAILED_MS 1000 /* longer where a probe found so: until the next one is over */

struct reach *reach_start(struct cluster *cluster);
/* Thread  any. Somebody is in the cluster's table of failures. NULL is fine. */
void reach_doubt(struct reach *reach);
/* A leader has answered a beat: are we cut off? */
void reach_heard(struct reach *reach, bool cut);
void reach_stop(struct reach *reach);
void reach_free(struct reach *reach); /* after pool and loops have ended */
