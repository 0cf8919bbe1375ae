/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob - patterns over repository names as zot's accessControl has them (doublestar's Match):
 *
 *     *  ?        any run, any one character; inside a component
 *     **          as a whole component: any number of components, none too: a pattern of "a" and then ** has "a"
 *                 and "a/b/c"; elsewhere the same as *
 *     [a-z] [^x] [!x]   one character of a class; a negated one takes '/' too
 *     {a,b-*}     one of several patterns; they nest
 *     \c          the character itself
 *
 * At most 255 bytes. All ways through the pattern are followed at once, so the cost is bounded by pattern length times
 * text length: there is no backtracking. A pattern that glob_check() refuses matches nothing.
 * Thread  any; pure.
 */
#pragma once

#include "common/error.h"
#include "common/str.h"

#define GLOB_MAX 255

bool glob_check(struct str pattern, struct error *err) MUST_CHECK;
bool glob_match(struct str pattern, struct str text);
