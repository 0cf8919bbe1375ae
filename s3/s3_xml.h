/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_xml - the few words that we need from S3's XML answers.
 *
 * Not an XML parser: it finds elements that hold text alone, by name, wherever they stand, in one
 * pass and without memory. Comments, CDATA and elements with others inside are passed over. What is
 * broken is not found; nothing is believed beyond the end of the text.
 *
 * Thread  any; pure.
 */
#pragma once

#include "common/buf.h"
#include "common/str.h"

/* Moves *xml behind the next <name>text</name>; *ret_raw is the text, still escaped. */
bool s3_xml_next(struct str *xml, const char *name, struct str *ret_raw) MUST_CHECK;
/* Moves *xml behind the next <name>...</name>, and *ret_inner is what stands between, other elements too. None of that name is inside. */
bool s3_xml_next_block(struct str *xml, const char *name, struct str *ret_inner) MUST_CHECK;
/* Appends the text with &amp; &lt; &gt; &quot; &apos; &#n; &#xn; replaced; false on any other
 * escape, on NUL, and when it does not fit. */
bool s3_xml_unescape(struct str raw, struct buf *into) MUST_CHECK;
/* Appends the unescaped text of the first such element; false when there is none. */
bool s3_xml_find(struct str xml, const char *name, struct buf *into) MUST_CHECK;
/* Is this a document whose outermost element has that name? S3 answers 200 and then <Error>. */
bool s3_xml_is(struct str xml, const char *name);
/* Appends s as element text. */
void s3_xml_escape(struct buf *into, struct str s);
