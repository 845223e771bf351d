import { screen, waitFor } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { refuse, server } from "../../test/api";
import * as make from "../../test/make";
import { show } from "../../test/show";
import { OpenNotebook } from "./OpenNotebook";

const OPEN = "/api/v1/notebooks/{notebook_id}/open";

async function begin() {
  const tab = { close: vi.fn(), location: { replace: vi.fn() }, opener: window };
  vi.spyOn(window, "open").mockReturnValue(tab as unknown as Window);
  const notebook = make.notebook({ replicas: [make.replica({ can_open: true })] });
  server.on("get", "/api/v1/notebooks/{notebook_id}", notebook as never);
  const { user } = show(<OpenNotebook id={notebook.id} onClose={() => {}} />);
  await user.click(await screen.findByRole("button", { name: "Open" }));
  return tab;
}

test("a page opens in a tab of its own that cannot reach back", async () => {
  server.on("post", OPEN, { url: "http://x.apps.localhost/_utcloud/open?code=c", expires_at: make.NOW });
  const tab = await begin();
  await waitFor(() =>
    expect(tab.location.replace).toHaveBeenCalledWith("http://x.apps.localhost/_utcloud/open?code=c"),
  );
  expect(tab.opener).toBeNull();
});

test("why a page of a distant site does not open is said, with the cure, and no empty tab is left", async () => {
  const detail = "Pages of distant sites do not open yet, and site 'far' is not on the platform's own host.";
  const cure = "Use a pool on the platform's own host.";
  server.on("post", OPEN, refuse(409, { code: "page_of_distant_site", detail, cure }));
  const tab = await begin();
  expect(await screen.findByText(new RegExp("Pages of distant sites do not open yet"))).toBeVisible();
  expect(screen.getByText(new RegExp(cure))).toBeVisible();
  expect(tab.close).toHaveBeenCalled();
});
