/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fellows - the other leaders on the same ledger: what they store is followed, which beats they answered is heard here too.
 *
 *     listens   ledger_listen() ---> leader_lock(): follow.h ---> the words: beats, as if they had come here (report_overhear())
 *     tells     beats that this leader answered: the newest of each process, every FELLOWS_TELL_MS, in one word; and what administrators ask of chores here
 *
 * A lease that another leader gave is known here within that time, and given up later than the worker does: so whoever turns to another
 * leader, or talks to all of them through a balancer, is one member with one lease.
 *
 * Contact. A leader that can neither tell nor hear gives no leases: reports are refused (503), so workers turn to another leader, or go on
 * without a lease where the ledger is away from all of them. Nor does it judge who is lost. States are served as they are.
 *
 *     a lease that it gave    is told by FELLOWS_CONTACT_MS after it was given, or the leader had lost contact before
 *     a member is lost        FELLOWS_MARGIN_MS later than with one leader, which is more than that
 *
 * Of a ledger that is one leader's there are no fellows: NULL is good for what a report and a sweep ask.
 *
 * Thread  as said. Two threads of its own: one listens, one tells.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"

#define FELLOWS_TELL_MS    100
#define FELLOWS_CONTACT_MS 1000
#define FELLOWS_MARGIN_MS  1500
#define FELLOWS_SHOWN_MS   10000
#define FELLOWS_MAX        64

struct fellows;
struct json_writer;
struct leader;
struct usage_order;
struct usage_report;
struct fellows *fellows_new(struct leader *leader);
void fellows_free(struct fellows *fellows);
AUTO_DEFINE(fellows)
/* Own loop, once: when all is loaded. The threads run until fellows_stop(). */
bool fellows_start(struct fellows *fellows, struct error *err) MUST_CHECK;
void fellows_stop(struct fellows *fellows);

/* Any. This beat was answered. NULL: nobody is told. */
void fellows_note(struct fellows *fellows, const struct usage_report *report);
/* Any. This is asked of a chore of that process (members_order()); at once. FELLOWS_ORDERS_BYTES of them wait at most, more are not told.
 * NULL: nobody is told. */
#define FELLOWS_ORDERS_BYTES (256u * 1024)
void fellows_order(struct fellows *fellows, const char *name, const char *process, const struct usage_order *order);
/* Any. A leader has come, and waits for a word. */
void fellows_greet(struct fellows *fellows);
/* Any. NULL: it is. Otherwise *ret_away_ms says for how long it was not. */
bool fellows_in_contact(struct fellows *fellows, int64_t *ret_away_ms);
/* Any. False: the last word could not be told, for this reason; so nothing can be stored, and nobody is to wait for it. The teller goes on
 * trying. NULL: nothing is known against it. */
bool fellows_may_store(struct fellows *fellows, struct error *err) MUST_CHECK;
/* Any. How much later than at the end of its lease a member is lost. */
int64_t fellows_margin_ms(const struct fellows *fellows);
/* Any. Elements of an array: the others that were heard in the last FELLOWS_SHOWN_MS. */
void fellows_write(struct fellows *fellows, struct json_writer *writer);
