/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace - what a long walk asks between two of its steps: may it go on? The answer may take a while, so that others go first.
 *
 * Thread  that of the walk.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct pace {
	bool (*go_on)(void *arg); /* false: the walk ends early */
	void *arg;
};

/* NULL: nobody else is there. */
static inline bool pace_go_on(const struct pace *pace)
{
	return !pace || pace->go_on(pace->arg);
}
