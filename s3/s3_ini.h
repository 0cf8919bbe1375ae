/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_ini - the files that the tools of AWS share: ~/.aws/credentials and ~/.aws/config.
 *
 *     [default]                      in both
 *     [dev]  [profile dev]           a profile in credentials, and in config
 *     aws_access_key_id = AKIA...    # what stands behind a blank and # or ; is no part of the value
 *     s3 =
 *       addressing_style = path      what is indented belongs to the line before, and is passed over
 *
 * A section may be there twice, and a key too: the last one counts. Lines that are none of these are passed over.
 *
 * Thread  any; pure. What is found is borrowed from the text.
 */
#pragma once

#include "common/str.h"

/* The value of a key, blanks around it cut; false when the section has none. */
bool s3_ini_find(struct str text, struct str section, const char *key, struct str *ret) MUST_CHECK;
bool s3_ini_has(struct str text, struct str section);
