/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed - the state of the leaders, followed: long poll, check, apply, publish, save.
 *
 *     ask --200--> decode (pool) --> publish --> save (pool) --> ask        at once
 *      |  --304-------------------------------------------------> ask        at once
 *      |  --anything else--> another leader, after its pause
 *      `- a delta that does not follow ours, does not lead where it says, or is damaged: ask for the whole
 *
 * A question says revision, digest, cluster and generation of what we have; each answer says cluster and generation of the leader, and whether
 * it knows that pair. What does not follow ours (proto/history.h) is refused: what we have is served on and stays on disk, the complaint
 * `history` says what was seen, another leader is asked, this one again after its pause. Who has nothing takes what it is given; until
 * then the complaint `state` lasts, and no request of the registry is served.
 * An unchanged one may come with "Zot-Report: now": then a beat follows at once (beat.h), in which grants are given back.
 * One question at a time. The last good states lie on disk (state_file.h); the newest that can be read is loaded at the start, so that a
 * worker serves when no leader answers.
 * Thread  the cluster's loop, but for what runs on the pool inside.
 */
#pragma once

#include "common/error.h"

struct cluster;
struct feed;

/* Loads the file and posts the first question. Before the loop runs. */
struct feed *feed_start(struct cluster *cluster);
/* Own loop: asks no more. What is on the pool comes to its end. NULL is fine. */
void feed_stop(struct feed *feed);
/* After pool and loop have ended. */
void feed_free(struct feed *feed);
