/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello - before a led worker joins: is it this process that answers at the address which the others are given?
 *
 *     GET <our URL>/cluster/hello, signed as any call between workers
 *
 *       answered by us (the proof names this process, peer_token.h) -> we join: the leaders are told "active"
 *       anything else -> they are told "joining", and we are in no ring; COMPLAINT_ADDRESS says who answers there, or
 *                        COMPLAINT_NAME where it is another process of our name; asked again after HELLO_EVERY_MS
 *
 * Not before there is a state: with it comes the secret that the others know.
 * Once is enough: an address that becomes another's later is noticed by whoever calls it (peer.h), and a busy worker is never
 * taken out of the ring for a hello that was late.
 *
 * Thread  the cluster's loop.
 */
#pragma once

#include "worker/cluster/cluster.h"

#define HELLO_EVERY_MS 1000

struct hello;
/* joined runs once, from the loop, never from inside here. */
typedef void hello_joined_f(void *arg);
/* Asks at once, by the client of the cluster's loop. */
struct hello *hello_start(struct cluster *cluster, hello_joined_f *joined, void *arg);
/* Own loop: asks no more. NULL is fine. */
void hello_stop(struct hello *hello);
void hello_free(struct hello *hello);
