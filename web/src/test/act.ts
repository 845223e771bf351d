import { act, screen, waitFor, within } from "@testing-library/react";
import type { UserEvent } from "@testing-library/user-event";
import { expect, vi } from "vitest";

/** What a person does with antd's parts. */

/** So much time passes. */
export const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

/** The dialog on top. */
export async function dialog(): Promise<HTMLElement> {
  const all = await screen.findAllByRole("dialog");
  return all[all.length - 1] as HTMLElement;
}

/** The dialog on top is gone. */
export const gone = (one: HTMLElement) => waitFor(() => expect(one).not.toBeInTheDocument());

/** Open a choice and take one of its options. */
export async function choose(user: UserEvent, choice: HTMLElement, option: string): Promise<void> {
  await user.click(choice);
  const list = await waitFor(() => {
    const open = document.querySelector<HTMLElement>(".ant-select-dropdown:not(.ant-select-dropdown-hidden)");
    expect(open).not.toBeNull();
    return open as HTMLElement;
  });
  await user.click(await within(list).findByTitle(option));
}

/** Open a button's menu and take one of its lines. */
export async function pick(user: UserEvent, button: HTMLElement, line: string): Promise<void> {
  await user.click(button);
  await user.click(await screen.findByRole("menuitem", { name: line }));
}
