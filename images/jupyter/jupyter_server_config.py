"""JupyterLab inside a replica: its page is guarded by the edge and by the token in JUPYTER_TOKEN."""

c = get_config()  # noqa: F821

c.ServerApp.ip = "0.0.0.0"  # noqa: S104 (the container has a network of its own)
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.terminals_enabled = True
c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash"]}

# A deleted file must not go on filling the home from a trash folder that JupyterLab does not show.
c.FileContentsManager.delete_to_trash = False

# Nothing is built and nothing is looked up on the way to the first page.
c.LabServerApp.extra_labextensions_path = []
c.LabApp.extension_manager = "readonly"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
