include:
  - uv
  - jupyterhub.install
  - jupyterhub.config
  - jupyterhub.work
  - jupyterhub.service
