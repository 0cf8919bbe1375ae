/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/tried_name.h"

#include <stdio.h>

#define UNKNOWN_MOST 16

static size_t said_of(struct str typed, bool known)
{
	if (str_starts(typed, "zak_") || str_starts(typed, "zwk_"))
		return 4;
	if (known && typed.len <= ENTITY_ID_MAX)
		return typed.len;
	return typed.len < UNKNOWN_MOST ? typed.len : UNKNOWN_MOST;
}

void tried_name(struct str typed, bool known, char into[TRIED_NAME_SIZE])
{
	size_t said = said_of(typed, known);

	(void)snprintf(into, TRIED_NAME_SIZE, "%.*s%s", (int)said, said ? typed.at : "",
		said < typed.len ? "..." : "");
}
