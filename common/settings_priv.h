/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_priv - what the loader and the parsing of values share.
 */
#pragma once

#include "common/settings.h"

#define SETTING_TEXT_MAX (64u * 1024) /* bytes of one value, also of one that a file:// names */

struct settings_load {
	const struct settings_table *table;
	char *const *environment;
	char *base; /* of the caller's struct */
	struct settings_memory *memory;
	struct buf *warnings, *errors;
	bool *given; /* by row: seen in the file */
	bool failed;
};

/* One more line of *errors. */
void settings_say(struct settings_load *load, const char *format, ...) PRINTF(2, 3);

/* Each stores the value in the row's member, or says what is wrong with it. `where` names the value. */
void setting_take_text(struct settings_load *load, const struct setting *row, const char *where, struct str text);
void setting_take_json(struct settings_load *load, const struct setting *row, const char *where,
		       const struct json *value);
/* "a number, 0 to 65535": what the row allows. */
void setting_describe(const struct setting *row, struct buf *into);
