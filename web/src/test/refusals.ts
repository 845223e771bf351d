import { screen, waitFor, within } from "@testing-library/react";
import type { UserEvent } from "@testing-library/user-event";
import { expect } from "vitest";
import { dialog } from "./act";
import { refuse } from "./api";

/**
 * Whatever field of its body the server refuses, and one that nobody has heard of: a dialog says so where it is seen.
 * `answer` makes the server refuse; the dialog is open and ready to be sent by the button `send`.
 */
export async function everyRefusalIsSeen(
  user: UserEvent,
  fields: string[],
  answer: (refusal: ReturnType<typeof refuse>) => void,
  send = "OK",
): Promise<void> {
  const window = within(await dialog());
  let before: string | undefined;
  for (const field of [...fields, "unheard.of"]) {
    const words = `What is wrong is ${field}.`;
    answer(refuse(409, { field, detail: words }));
    await user.click(window.getByRole("button", { name: send }));
    expect(await window.findByText(words)).toBeVisible();
    if (before) await waitFor(() => expect(screen.queryByText(before as string), `${before} is over`).toBeNull());
    before = words;
  }
}
