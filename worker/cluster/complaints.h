/* SPDX-License-Identifier: Apache-2.0 */
/*
 * complaints - what is wrong with this worker in its cluster: said in one place, heard in all.
 *
 *     complaint_say(complaints, COMPLAINT_CLOCK, "it is %" PRId64 " ms behind that of %s", ...)
 *     complaint_end(complaints, COMPLAINT_CLOCK)
 *
 * While it lasts it is a line of /readyz (and some kinds make the worker not ready), zot_cluster_complaint{kind} is 1, the
 * leader shows it in its members, and the log has it: when it begins, when its text changes (ten lines a minute at the most)
 * and each minute.
 * One complaint of a kind; the later text counts. A text says what is wrong, where, and what is right, and nothing secret.
 *
 * Thread  any; one lock.
 */
#pragma once

#include "common/buf.h"
#include "common/cleanup.h"

struct complaints;
struct loop;

/* kind, its name, makes the worker not ready */
#define COMPLAINT_TABLE(X)                                                          \
	X(STATE,   "state",   true)   /* no leader has given it a state yet */      \
	X(HISTORY, "history", false)  /* a leader's state is none that follows ours */ \
	X(SECRET,  "secret",  true)   /* its cluster secret is another than the others' */ \
	X(NAME,    "name",    true)   /* another process has its name */            \
	X(ADDRESS, "address", true)   /* who answers at its address is not it */    \
	X(CLOCK,   "clock",   false)  /* its clock is not the leader's */ \
	X(PEERS,   "peers",   false)  /* most of the other workers cannot be reached from it */ \
	X(CUT,     "cut",     true)   /* the leaders say that the others reach each other */ \
	X(VERSION, "version", false)  /* no release that is tried with its leader's */ \
	X(FILES,   "files",   false)  /* what it found in its data folder at its start it could not read */

enum complaint {
#define COMPLAINT_KIND(kind, name, counts) COMPLAINT_##kind,
	COMPLAINT_TABLE(COMPLAINT_KIND)
#undef COMPLAINT_KIND
	COMPLAINTS
};
#define COMPLAINT_TEXT_MAX 500u /* bytes; the rest is cut off, and what is no text becomes a space */
#define COMPLAINTS_BYTES   ((COMPLAINT_TEXT_MAX + 16) * COMPLAINTS) /* of complaints_write() at the most */

struct complaints *complaints_new(void);
void complaints_free(struct complaints *complaints);
/* Own loop: the log is reminded each minute from now on. */
void complaints_start(struct complaints *complaints, struct loop *loop);
void complaints_stop(struct complaints *complaints);

void complaint_say(struct complaints *complaints, enum complaint kind, const char *format, ...) PRINTF(3, 4);
void complaint_end(struct complaints *complaints, enum complaint kind);
bool complaint_lasts(struct complaints *complaints, enum complaint kind);
/* A line "kind: text" for each that lasts. False: one of them makes the worker not ready. */
bool complaints_write(struct complaints *complaints, struct buf *into);
const char *complaint_name(enum complaint kind);
