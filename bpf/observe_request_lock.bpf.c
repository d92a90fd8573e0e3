// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * observe_request_lock.bpf.c - observe_request for kernels before 5.12, which have no atomics with a
 * result: the same programs and maps, with a spin lock in order.bpf.h.
 */
#define ORDER_LOCK
#include "observe_request.bpf.c"
