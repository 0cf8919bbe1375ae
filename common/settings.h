/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings - a program's knobs as one table: from it come the struct, the JSON file, the
 * environment, defaults, bounds, --help and docs/configuration.md.
 *
 * A row names a path in the file ("http.port"), the variables that set it (first one wins), the
 * member of the struct, its type, default and bounds, and one sentence. A variable beats the
 * file, the file beats the default. Keys are compared without case, as zot does. "${VAR}" inside
 * a string of the file is replaced by the variable (unknown one: an error). Numbers may be given
 * as JSON strings ("8080") where zot does so. A null in the file and an empty variable count as absent.
 *
 * Errors name the full path or the variable, what is wrong, what is allowed, and the nearest known
 * key; all of them are collected (one a line), not only the first.
 *
 * Thread  start-up and reload: one at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/json.h"

enum setting_type {
	SETTING_TEXT,     /* const char *; "file://path" in the environment reads the file */
	SETTING_SECRET,   /* the same, and never shown */
	SETTING_NUMBER,   /* int64_t within min..max */
	SETTING_BOOL,     /* bool */
	SETTING_MS,       /* int64_t ms; a number is ms, a text a Go duration ("1h30m", "500ms") */
	SETTING_BYTES,    /* int64_t; "64MB", "1GiB" or a number */
	SETTING_ENUM,     /* int: place in `choices` ("off|leader|worker"); a true or false of the file is the choice of that name */
	SETTING_LIST,     /* struct setting_list of texts; comma separated in the environment */
	SETTING_NODE,     /* const struct json *: a part of the file that its module reads (accessControl) */
	SETTING_IGNORED,  /* known to zot, without meaning here: accepted in silence */
	SETTING_LATER,    /* known to zot, not served by this version: accepted with a warning that says so */
};

struct setting_list {
	const char **at;
	size_t len;
};

struct setting {
	const char *path;     /* NULL: environment only */
	const char *env;      /* names, '|' between; NULL: file only */
	enum setting_type type;
	size_t offset;        /* of the member */
	const char *fallback; /* as text; NULL: zero, empty */
	int64_t min, max;     /* numbers, ms, bytes */
	const char *choices;  /* SETTING_ENUM */
	const char *help;
};

struct settings_table {
	const struct setting *rows;
	size_t len;
	/* Prefixes of variables that are ours: one that begins so and is in no row is an error, unless
	 * Kubernetes made it for a service (..._SERVICE_HOST, ..._PORT=tcp://...). */
	const char *const *env_prefixes; /* NULL ended */
};

/* Everything that the struct points to lives in this. */
struct settings_memory;
void settings_memory_free(struct settings_memory *memory);
AUTO_DEFINE(settings_memory)
/* A terminated copy that lives as long as the memory. */
/* Zeroed; aligned for anything. */
void *settings_memory_new(struct settings_memory *memory, size_t n, size_t size);
const char *settings_memory_text(struct settings_memory *memory, struct str text);

/*
 * file NULL: environment only. environ-like list of "NAME=value". Warnings (SETTING_LATER) are
 * appended to *warnings, errors to *errors, one a line; true when there was no error. False leaves the
 * rows' members of the struct zero.
 */
bool settings_load(const struct settings_table *table, const char *file_path, char *const *environment, void *ret_struct,
		   struct settings_memory **ret_memory, struct buf *warnings, struct buf *errors) MUST_CHECK;

/* What a variable says in such a list; NULL: it is not set. */
const char *settings_variable(char *const *environment, struct str name);

/* One more line of *errors: "http.port (PORT): ...", the path of a row and the variables that set it. */
void settings_wrong(const struct settings_table *table, const char *path, struct buf *errors, const char *format, ...) PRINTF(4, 5);

/* changed() runs for each row whose member differs in two structs that were loaded with this table. */
typedef void setting_changed_f(void *arg, const struct setting *row);
void settings_compare(const struct settings_table *table, const void *before, const void *after, setting_changed_f *changed,
		      void *arg);

/* The table as text for --help, as a part of a page for man(1), and as a Markdown table for the docs. */
void settings_help(const struct settings_table *table, struct buf *into);
void settings_man(const struct settings_table *table, struct buf *into);
void settings_markdown(const struct settings_table *table, struct buf *into);

bool setting_parse_ms(struct str text, int64_t *ret);
bool setting_parse_bytes(struct str text, int64_t *ret);
