/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leave - the orderly end of a worker, so that no client notices it.
 *
 *   announced   /readyz says "draining" with 503, the leader takes us out of the ring, each reply is its connection's last; all is
 *               still served, an upload that begins goes to another member where the storage is shared. For CLUSTER_DRAIN_DELAY
 *               after SIGTERM; for nothing after SIGINT, which a person has typed
 *   uploads     those that clients are in the middle of go on, new ones are refused; only where there was a delay
 *   requests    nobody can connect any more; what is under way ends
 *   left        the leader has our last counts
 *
 * The second and the third step have 30 s together. A signal ends the delay at once; one that comes later ends it all.
 *
 * Thread  main, while the loops run.
 */
#pragma once

#include <stdbool.h>

struct worker;

struct leave {
	struct worker *worker;
	int signal; /* SIGTERM, SIGINT */
	/* Waits so long; true: another signal came that ends us. */
	bool (*hurry)(void *arg, int within_ms);
	void *arg;
};

/* When it returns the loops may be stopped. */
void leave_orderly(const struct leave *leave);
