/** With it, lines that find no room are refused with 507 and not dropped: who sends them has them elsewhere. */
export const KEEP_OR_REFUSE_HEADER = "flowyard-keep-or-refuse";
