/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regexp - regular expressions over tags, as Go's package regexp reads them: is there a match anywhere in a text?
 *
 *     a  .  [a-z] [^x] [[:alpha:]]   \d \D \w \W \s \S   \. \t \x41 \x{41} \101 \Q...\E
 *     ab  a|b  (a) (?:a) (?P<name>a) (?<name>a)   a* a+ a? a{2} a{2,} a{2,5}, each with '?' behind
 *     ^ $ \A \z \b \B   (?i) (?m) (?s) (?U) (?i:a) (?i-s)
 *
 * What Go refuses is refused: references back, looking ahead or behind, possessive repeats, counts over 1000. Texts are bytes, and patterns are
 * ASCII: tags are. So \p and \P are refused, and other letters, which no tag could have.
 *
 * All ways through the pattern are followed at once: there is no backtracking, and a match costs at most REGEXP_STEPS_MAX steps for each byte of the
 * text, whatever the pattern. At most REGEXP_MAX bytes; what its counts make of it is bounded, too.
 * Source  the syntax of RE2, as the documentation of Go's regexp/syntax gives it.
 * Thread  any; pure.
 */
#pragma once

#include "common/error.h"
#include "common/str.h"

#define REGEXP_MAX       512
#define REGEXP_STEPS_MAX 2048

struct regexp;
/* ERROR_INVALID, with the byte at which it is wrong; ERROR_TOO_LARGE. */
bool regexp_new(struct regexp **ret, struct str pattern, struct error *err) MUST_CHECK;
void regexp_free(struct regexp *regexp);
AUTO_DEFINE(regexp)
bool regexp_match(const struct regexp *regexp, struct str text);
