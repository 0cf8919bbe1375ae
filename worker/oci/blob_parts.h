/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_parts - several ranges of a blob as one multipart/byteranges answer.
 *
 *   client <-- reply <-- [ pipe ] <-- frames (proto/byteranges.h)
 *                                 <-- parts: slices of a file, or, one after the other, ranged GETs
 *                                            <-- [ pipe ] <-- blob_fetch <-- object store
 *
 * A slice and two pipes are all the memory, however long the parts are. A part that cannot be had cuts the
 * connection: the length was announced.
 *
 * Life    the request owns it, by its stream or by what is its stream; free cancels what is left.
 * Thread  the request's loop.
 */
#pragma once

#include "proto/byteranges.h"

struct blob_parts;
struct oci_call;

/* Replies 206. fd -1: the parts come from the store; else it is taken. */
struct blob_parts *blob_parts_start(struct oci_call *call, int fd, const struct range *ranges, unsigned len, uint64_t size);
void blob_parts_free(struct blob_parts *parts);
