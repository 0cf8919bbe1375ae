/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error - why something failed, for the program (kind), for clients (code) and for people (text).
 *
 * A function that can fail returns bool, true = done, and takes `struct error *err` last.
 * True: err is untouched. False: err is filled and every ret_ parameter is untouched.
 * The struct lies on the caller's stack and nothing here allocates, so failing works when
 * memory does not. `err` may be NULL where the caller does not care.
 *
 *     if (fd < 0)
 *             return error_sys(err, "open %s", path);
 *     if (!index_load(...))
 *             return error_add(err, "repository %s", name);      prefixes context
 *
 * Thread  any.
 */
#pragma once

#include <stdbool.h>

#include "common/cleanup.h"

/* What the caller may do about it. */
enum error_kind {
	ERROR_INTERNAL,    /* our fault or the machine's: nothing */
	ERROR_INVALID,     /* the input is wrong: say so, do not repeat */
	ERROR_DENIED,      /* not allowed */
	ERROR_UNKNOWN,     /* no such thing */
	ERROR_CONFLICT,    /* somebody else changed it: read again, try again */
	ERROR_TOO_LARGE,   /* over a limit */
	ERROR_BUSY,        /* a queue or a quota is full: later */
	ERROR_TIMEOUT,     /* no progress in time */
	ERROR_UNAVAILABLE, /* what we depend on is not there: later, elsewhere */
	ERROR_FULL,        /* the disk or the spool has no room */
};

#define ERROR_TEXT_MAX 240

struct error {
	enum error_kind kind;
	const char *code;          /* public name, static text ("BLOB_UNKNOWN"), or NULL */
	int sys;                   /* errno of the layer below, or 0 */
	char text[ERROR_TEXT_MAX]; /* for people, outermost context first */
};

/* Each fills err and returns false. */
bool error_set(struct error *err, enum error_kind kind, const char *code, const char *format, ...)
	PRINTF(4, 5);
/* From errno; ENOSPC and EDQUOT give ERROR_FULL, ENOENT gives ERROR_UNKNOWN, else ERROR_INTERNAL. */
bool error_sys(struct error *err, const char *format, ...) PRINTF(2, 3);
/* Puts "context: " before the text that is there. */
bool error_add(struct error *err, const char *format, ...) PRINTF(2, 3);

const char *error_kind_name(enum error_kind kind);
